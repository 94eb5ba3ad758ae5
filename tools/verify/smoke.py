"""``python -m tools.verify.smoke``: send one job with a real token, and fetch its result."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import httpx

from tools.stack.checks import each
from tools.stack.deployed import deployed_stack
from tools.stack.findings import Finding, compared, report
from tools.stack.options import said_plainly, stack_folder, stack_url
from tools.stack.terraform import Terraform
from tools.verify.caller_token import NoToken, caller_token
from tools.verify.live import TIMEOUT_SECONDS, Site, health, judged, status_said

JOB = {"type": "generate", "input": {"prompt": "Say hello.", "max_tokens": 8}, "metadata": {"sent_by": "smoke"}}
#: Seconds that the test's own job may take.
RESULT_SECONDS = 120.0
_FINAL = frozenset({"completed", "failed", "cancelled", "expired"})
_LOOK = "look up this status in docs/operations.md, What to do when"


@click.command()
@stack_folder
@stack_url
@click.option("--no-result", is_flag=True, help="Cancel the job instead of waiting for a worker.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(folder: Path, url: str | None, no_result: bool, as_json: bool) -> None:
    """Send a job with TOKEN, or with a token for COGNITO_CLIENT_ID, and wait for its result."""
    with said_plainly("smoke"):
        url = url or os.environ.get("URL") or deployed_stack(Terraform(folder)).api_url
        try:
            token = caller_token(os.environ)
        except NoToken as error:
            sys.exit(f"smoke: {error}")
        sys.exit(report(smoke(url, token, with_result=not no_result), as_json=as_json))


def smoke(url: str, token: str, *, with_result: bool) -> Iterator[Finding]:
    """Check ``/health`` and the models, and send a job; then wait for its result, or cancel it.

    The models show that the function starts that serves the OpenAI API: nothing reaches it without a token.
    """
    yield from each(
        {
            "GET /health": lambda: health(Site.of(url, 0), None, None, _LOOK),
            "GET /v1/models": lambda: _models(url, token),
            "a job": lambda: _job(url, token, with_result),
        }
    )


def _models(url: str, token: str) -> Iterator[Finding]:
    answer = httpx.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_SECONDS)
    found = status_said(answer, 200)
    if answer.status_code == 200 and not _member(answer, "data"):
        found = "200 without a list"
    why = "OpenAI's clients cannot reach this API"
    yield judged(answer, compared("the models are listed", found, "200", why=why, fix=_LOOK))


def _job(url: str, token: str, with_result: bool) -> Iterator[Finding]:
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS) as caller:
        accepted = caller.post("/v1/jobs", json=JOB)
        job = _member(accepted, "id")
        found = "202 without an id" if accepted.status_code == 202 and not job else status_said(accepted, 202)
        why = "callers cannot send jobs"
        taken = judged(accepted, compared("the job is accepted", found, "202", why=why, fix=_LOOK))
        yield taken
        if not taken.ok:
            return
        path = f"/v1/jobs/{job}"
        if with_result:
            yield from _result(caller, path)
            return
        # Read and cancel the job, so that frequent tests leave no work behind.
        answers = {"the job can be read": caller.get(path), "the job can be cancelled": caller.delete(path)}
        for thing, answer in answers.items():
            found, why = status_said(answer, 200), "callers cannot follow their jobs"
            yield judged(answer, compared(thing, found, "200", why=why, fix=_LOOK))


def _result(caller: httpx.Client, path: str) -> Iterator[Finding]:
    until = time.monotonic() + RESULT_SECONDS
    while True:
        looked = caller.get(path, headers={"Prefer": "wait=20"})
        status = _member(looked, "status") if looked.status_code == 200 else ""
        if status in _FINAL or looked.status_code != 200 or time.monotonic() > until:
            break
    found = compared(
        "the job completes",
        status or status_said(looked, 200),
        "completed",
        why="jobs are accepted but not processed: callers wait in vain",
        fix="check with lambda-router-worker stats whether workers are running; then see docs/operations.md",
    )
    yield found if status else judged(looked, found)


def _member(answer: httpx.Response, name: str) -> str:
    """Return a member of the body; empty if the body has none."""
    try:
        body = answer.json()
    except ValueError:
        return ""
    return str(body.get(name, "")) if isinstance(body, dict) else ""


if __name__ == "__main__":
    main()
