"""``make run`` with settings in the caller's shell: which it takes, and that it says so."""

import json

import httpx
import pytest

from tests.e2e.conftest import StartStack
from tests.e2e.running_stack import RunningStack, final, submit

NEAR, FAR = "https://app.example.com", "https://admin.example.com"
SHELL = {
    "COGNITO_AUD": "another-pools-client",
    "REDIS_URL": "redis://:secret@127.0.0.1:1/0",
    "ROUTER_CORS_ORIGIN": f"{NEAR},{FAR}",
    "ROUTER_JOB_ATTEMPTS": "1",
    "ROUTER_JOB_TIMEOUT_SECONDS": "1",
    "ROUTER_JOB_TYPES": json.dumps({"chat": {"timeout_seconds": 30}}),
    "ROUTER_QUEUE": "elsewhere",
    "ROUTER_TIMEOUT_SECONDS": "9",
    "WORKER_CONCURRENCY": "1",
    "WORKER_HANDLER": "tests.e2e.slow_handler:work",
    "WORKER_QUEUE": "elsewhere",
}


@pytest.fixture(scope="module")
def own(start_stack: StartStack) -> RunningStack:
    return start_stack(**SHELL)


def test_it_says_what_it_takes_of_the_shell_and_what_not_and_no_value(own: RunningStack) -> None:
    said = "".join(own.said)
    lines = {name: line for line in own.said for name in SHELL if name in line and "export" not in line}

    assert "starting the app" in lines["ROUTER_CORS_ORIGIN"]
    assert "starting the worker" in lines["WORKER_CONCURRENCY"]
    assert lines["REDIS_URL"] == lines["COGNITO_AUD"] == lines["ROUTER_QUEUE"] == lines["WORKER_QUEUE"]
    assert lines["ROUTER_TIMEOUT_SECONDS"] not in (lines["REDIS_URL"], lines["ROUTER_CORS_ORIGIN"])
    assert lines.keys() == SHELL.keys()
    assert "secret" not in said
    assert NEAR not in said


@pytest.mark.parametrize("origin", [NEAR, FAR, "https://evil.example.com"])
def test_pages_of_the_shells_origins_may_call_it(own: RunningStack, origin: str) -> None:
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answers = [
        httpx.options(f"{own.url}/v1/jobs", headers=preflight, trust_env=False),
        httpx.get(f"{own.url}/v1/jobs", headers={"Origin": origin}, trust_env=False),
    ]

    assert [answer.status_code for answer in answers] == [204, 401]
    for answer in answers:
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if origin in (NEAR, FAR) else None)
        assert answer.headers["Vary"] == "Origin"


def test_a_job_has_the_shells_time_limit_and_one_type_its_own(own: RunningStack) -> None:
    chat = {"type": "chat", "input": {"messages": [{"role": "user", "content": "x"}]}}
    with own.caller("ann") as ann:
        late = final(ann, submit(ann, "too slow").json()["id"])
        in_time = final(ann, ann.post("/v1/jobs", json=chat).json()["id"])

    assert (late["status"], late["attempts"], late["error"]["code"]) == ("failed", 1, "timeout")
    assert (in_time["status"], in_time["result"]) == ("completed", {"text": "chat"})
