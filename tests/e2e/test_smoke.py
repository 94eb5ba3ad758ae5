"""``make smoke`` against ``make run``."""

import json

import pytest

from tests.e2e.running_stack import RunningStack, run_tool


@pytest.mark.parametrize(
    ("options", "things"),
    [
        ([], ["GET /health", "the models are listed", "the job is accepted", "the job completes"]),
        (
            ["--no-result"],
            [
                "GET /health",
                "the models are listed",
                "the job is accepted",
                "the job can be read",
                "the job can be cancelled",
            ],
        ),
    ],
    ids=["to its result", "without a worker"],
)
def test_a_job_goes_in_and_out_again(stack: RunningStack, options: list[str], things: list[str]) -> None:
    ran = run_tool("verify.smoke", "--json", *options, URL=stack.url, TOKEN=stack.token("smoke"))

    said = json.loads(ran.stdout)
    assert (ran.returncode, said["status"]) == (0, "ok")
    assert [finding["thing"] for finding in said["findings"]] == things


def test_a_refused_token_is_a_finding_and_is_not_said(stack: RunningStack) -> None:
    ran = run_tool("verify.smoke", URL=stack.url, TOKEN="not-a-token-at-all")

    assert ran.returncode == 3
    assert "WRONG the job is accepted: 401 " in ran.stdout
    assert "not-a-token-at-all" not in ran.stdout + ran.stderr


def test_a_service_that_is_not_there_could_not_be_looked_at() -> None:
    ran = run_tool("verify.smoke", URL="http://127.0.0.1:1", TOKEN="any")

    assert ran.returncode == 1
    assert "UNSEEN GET /health" in ran.stdout


def test_without_a_token_it_says_where_one_comes_from() -> None:
    ran = run_tool("verify.smoke", URL="http://127.0.0.1:1", TOKEN="")

    assert ran.returncode == 1
    assert "smoke: set TOKEN, or all of COGNITO_TOKEN_URL" in ran.stderr
