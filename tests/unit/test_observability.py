"""chalicelib.observability: one line per request, and no secrets in it or in metrics."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.observability import Notes, RequestRecord, begin_notes, log_request, notes
from tests.conftest import Router
from tests.emf import metric_lines

type LogLines = Callable[[], list[dict[str, Any]]]

RECORD = RequestRecord("request-1", "GET", "/v1/jobs/{job_id}", 200, 12.345, cold_start=True)


@pytest.fixture(autouse=True)
def _in_a_request() -> None:
    begin_notes()


def test_a_line_says_what_was_asked_and_how_it_went(log_lines: LogLines):
    log_request(RECORD, Notes(principal="0123", job_id="job_1", trace_id="ab"), "local")
    [line] = log_lines()
    assert line["level"] == "INFO"
    assert line["message"] == "request"
    assert line["service"] == "lambda-router"
    expected = {
        "request_id": "request-1",
        "method": "GET",
        "route": "/v1/jobs/{job_id}",
        "status": 200,
        "latency_ms": 12.345,
        "cold_start": True,
        "principal": "0123",
        "job_id": "job_1",
        "trace_id": "ab",
    }
    assert line | expected == line


def test_what_was_not_learnt_is_left_away(log_lines: LogLines):
    log_request(RECORD, Notes(), "local")
    [line] = log_lines()
    assert line.keys().isdisjoint({"principal", "job_id", "trace_id", "problem", "reason"})


def test_a_refusal_stands_in_the_line(log_lines: LogLines):
    log_request(RECORD, Notes(problem="unauthenticated", reason="exp"), "local")
    [line] = log_lines()
    assert (line["problem"], line["reason"]) == ("unauthenticated", "exp")


def test_notes_belong_to_one_request():
    first = begin_notes()
    notes().principal = "alice"
    assert notes() is first
    assert begin_notes().principal is None
    assert first.principal == "alice"


def test_notes_of_one_thread_are_not_seen_in_another():
    begin_notes().principal = "alice"
    seen: list[str | None] = []
    thread = threading.Thread(target=lambda: seen.append(begin_notes().principal))
    thread.start()
    thread.join()
    assert seen == [None]
    assert notes().principal == "alice"


SECRETS = {"prompt": "a prompt that nobody else may read", "system": "be quiet about it"}
METADATA = {"customer": "number-4711"}


def test_a_job_leaves_no_token_prompt_metadata_or_redis_url_in_log_or_metrics(
    router: Router, environ: dict[str, str], log_lines: LogLines, capsys: pytest.CaptureFixture[str]
):
    job = {"type": "generate", "input": SECRETS, "metadata": METADATA}
    accepted = router.post("/v1/jobs", job, headers={"Idempotency-Key": "key-4711"})
    assert accepted.status == 202
    assert router.get(f"/v1/jobs/{accepted.json['id']}").status == 200
    assert router.post("/v1/jobs", job | {"input": SECRETS | {"seed": -1}}).status == 422
    assert router.as_caller(f"{router.token}x").get("/v1/jobs").status == 401
    metrics = metric_lines(capsys.readouterr().out)
    assert [line["status"] for line in log_lines()] == [202, 200, 422, 401]
    assert [line["problem"] for line in log_lines() if "problem" in line] == ["invalid-job", "unauthenticated"]
    written = json.dumps([log_lines(), metrics])
    assert router.token
    parts = router.token.split(".")
    for secret in (*SECRETS.values(), *METADATA.values(), "key-4711", *parts, environ["REDIS_URL"], "alice"):
        assert secret not in written


def test_a_line_names_the_route_and_not_the_path(router: Router, log_lines: LogLines):
    router.get("/v1/jobs/job_0123456789abcdef0123456789abcdef")
    [line] = log_lines()
    assert line["route"] == "/v1/jobs/{job_id}"
    assert line["status"] == 404
    assert line["latency_ms"] > 0
