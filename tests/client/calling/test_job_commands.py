"""``jobs``, ``show`` and ``cancel`` against a server that sends what it likes."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lambda_router import servers
from tests.client.calling.calls import RunHere
from tests.client.calling.lying_router import CANCEL, JOB, LOOK, STREAM, LyingRouter, says
from tests.e2e.kit.kit_commands import run_kit

JOBS = "GET /v1/jobs"


def listed(count: int, cursor: str | None = None) -> Any:
    jobs = [{"id": f"job_{number}", "status": "completed"} for number in range(count)]
    return says({"object": "list", "data": jobs, "has_more": cursor is not None, "next_cursor": cursor})


def test_pages_are_fetched_until_there_are_enough_jobs(lying: LyingRouter, run_here: RunHere) -> None:
    """A page may be short, or empty, although there are more."""
    lying.on(JOBS, listed(2, "c1"), listed(0, "c2"), listed(3, "c3"))
    status, out, said = run_here("jobs", "--limit", "5", "--status", "completed", "--cursor", "c0")
    assert (status, len(out.splitlines())) == (0, 6)
    assert "--status completed --cursor c3" in said
    queries = [call.path.partition("?")[2] for call in lying.asked(JOBS)]
    assert queries == [f"status=completed&cursor=c{number}&limit={limit}" for number, limit in enumerate((5, 3, 3))]


def test_a_list_without_end_is_given_up_and_can_be_gone_on_with(lying: LyingRouter, run_here: RunHere) -> None:
    lying.on(JOBS, listed(0, "again"))
    status, out, _ = run_here("jobs", "--json")
    assert (status, json.loads(out)) == (0, {"object": "list", "data": [], "has_more": True, "next_cursor": "again"})
    assert len(lying.asked(JOBS)) <= 50


@pytest.mark.parametrize("data", [None, 7, [7], {"a": 1}])
def test_a_list_that_is_none_is_an_error(lying: LyingRouter, run_here: RunHere, data: Any) -> None:
    lying.on(JOBS, says({"data": data}))
    assert run_here("jobs")[:2] == (1, "")


def test_no_jobs_are_said_on_standard_error(lying: LyingRouter, run_here: RunHere) -> None:
    lying.on(JOBS, listed(0))
    status, out, said = run_here("jobs")
    assert (status, out) == (0, "")
    assert said


def test_a_job_is_shown_without_anything_that_a_terminal_obeys(lying: LyingRouter, run_here: RunHere) -> None:
    job = {"id": JOB, "status": "failed\x1b[2J", "error": {"code": "x", "message": "two\nlines"}, "result": {"a": 1}}
    lying.on(LOOK, says(job))
    status, out, _ = run_here("show", JOB)
    assert status == 0
    assert r"failed\x1b[2J" in out
    assert r"x: two\nlines" in out
    assert json.loads(out[out.index("{") :]) == {"a": 1}


@pytest.mark.parametrize(
    ("job", "status", "out"),
    [
        ({"status": "completed", "result": {"text": "a\x1b\n"}}, 0, "a\x1b\n"),
        ({"status": "completed", "result": {"text": "cut", "finish_reason": "length"}}, 0, "cut\n"),
        ({"status": "completed", "result": [1]}, 0, ""),
        ({"status": "in_progress"}, 3, ""),
        ({"status": "failed", "error": {"code": "timeout", "message": "slow"}}, 3, ""),
        ({"status": 7}, 3, ""),
    ],
)
def test_the_text_alone_is_an_answer_or_a_status(
    lying: LyingRouter, run_here: RunHere, job: Any, status: int, out: str
) -> None:
    lying.on(LOOK, says(job))
    assert run_here("show", "--text", JOB)[:2] == (status, out)


def test_json_is_what_the_server_sent_in_ascii(lying: LyingRouter, run_here: RunHere) -> None:
    job = {"id": JOB, "status": "cancelled", "x": "\u202e\x9bü"}
    lying.on(LOOK, says(job))
    lying.on(CANCEL, says(job))
    for command in ("show", "cancel"):
        status, out, _ = run_here(command, "--json", JOB)
        assert (status, json.loads(out)) == (0, job)
        assert out.isascii()


def test_of_several_cancellations_the_first_that_fails_ends_it(lying: LyingRouter, run_here: RunHere) -> None:
    status, out, said = run_here("cancel", JOB, "0" * 32, JOB)
    assert (status, out) == (1, f"{JOB} is cancelled\n")
    assert "Not found" in said
    assert run_here("cancel")[0] == 2


def test_a_suggested_command_reaches_the_same_server_and_runs_nothing_else(
    lying: LyingRouter, kit: Path, run_here: RunHere
) -> None:
    """A server that is not the default, and whose cursor is more than a cursor."""
    found = servers.load()
    servers.save(
        replace(found.with_server(replace(found.servers[0], name="usual", url="http://127.0.0.1:1")), default="usual")
    )
    lying.on(JOBS, listed(1, "c; echo owned $(id)"))
    said = run_here("jobs", "--server", "there", "--limit", "1")[2]
    line = said[said.index("lambda-router jobs") :]
    words = ["lambda-router", "jobs", "--server", "there", "--limit", "1", "--cursor", "c; echo owned $(id)"]
    assert shlex.split(line) == words

    lying.on(STREAM, says({"title": "No"}, 400))
    said = run_here("chat", "--server", "there", "-m", "tiny", "hello")[2]
    assert f"lambda-router show --server there {JOB} " in said


def test_what_the_encoding_of_standard_output_lacks_is_a_question_mark(lying: LyingRouter, kit: Path) -> None:
    lying.on(LOOK, says({"id": JOB, "status": "queued", "queue": "large 日本"}))
    ran = run_kit(kit, "show", JOB, PYTHONIOENCODING="latin-1")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "large ??" in ran.stdout
