"""chalicelib.observability: one line per request, metrics that CloudWatch understands, and no secrets in either."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from aws_lambda_powertools.metrics import MetricUnit

from chalicelib.observability import Metric, Notes, RequestRecord, begin_notes, emit, log_request, notes
from tests.conftest import Router

type LogLines = Callable[[], list[dict[str, Any]]]

RECORD = RequestRecord("request-1", "GET", "/v1/jobs/{job_id}", 200, 12.345, cold_start=True)
METRICS = {str(metric) for metric in Metric}


def emf(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The metric lines written since the last call, checked against CloudWatch's format."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    for line in lines:
        assert_well_formed(line)
    return lines


def assert_well_formed(line: dict[str, Any]) -> None:
    """CloudWatch embedded metric format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring."""
    assert isinstance(line["_aws"]["Timestamp"], int)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "LambdaRouter"
    assert line["service"] == "lambda-router"
    for dimension_set in directive["Dimensions"]:
        assert "service" in dimension_set
        assert len(dimension_set) <= 30
        for name in dimension_set:
            assert isinstance(line[name], str)
            assert line[name]
    for metric in directive["Metrics"]:
        assert metric["Name"] in METRICS
        assert metric["Unit"] in {"Count", "Milliseconds"}
        assert all(isinstance(value, int | float) for value in as_list(line[metric["Name"]]))


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def measured(line: dict[str, Any], metric: Metric) -> list[Any]:
    return as_list(line[metric])


def dimensions(line: dict[str, Any]) -> dict[str, str]:
    [names] = line["_aws"]["CloudWatchMetrics"][0]["Dimensions"]
    return {name: line[name] for name in names if name != "service"}


def test_a_line_says_what_was_asked_and_how_it_went(log_lines: LogLines):
    log_request(RECORD, Notes(principal="0123", job_id="job_1", trace_id="ab"))
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
    log_request(RECORD, Notes())
    [line] = log_lines()
    assert line.keys().isdisjoint({"principal", "job_id", "trace_id", "problem", "reason"})


def test_latency_is_a_metric_by_route(capsys: pytest.CaptureFixture[str]):
    log_request(RECORD, Notes())
    [line] = emf(capsys)
    assert measured(line, Metric.LATENCY) == [12.345]
    assert dimensions(line) == {"route": "GET /v1/jobs/{job_id}"}
    assert line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Unit"] == "Milliseconds"


def test_a_refusal_is_a_metric_by_reason_and_stands_in_the_line(
    capsys: pytest.CaptureFixture[str], log_lines: LogLines
):
    log_request(RECORD, Notes(problem="unauthenticated", reason="exp"))
    _, refused = emf(capsys)
    assert measured(refused, Metric.REQUESTS_REFUSED) == [1]
    assert dimensions(refused) == {"reason": "unauthenticated"}
    [line] = log_lines()
    assert (line["problem"], line["reason"]) == ("unauthenticated", "exp")


@pytest.mark.parametrize("metric", Metric, ids=str)
def test_every_metric_can_be_written(metric: Metric, capsys: pytest.CaptureFixture[str]):
    emit(metric, 2.5, MetricUnit.Milliseconds, kind="a", type="b")
    [line] = emf(capsys)
    assert measured(line, metric) == [2.5]
    assert dimensions(line) == {"kind": "a", "type": "b"}


def test_metrics_do_not_pile_up_from_one_line_to_the_next(capsys: pytest.CaptureFixture[str]):
    emit(Metric.JOBS_ACCEPTED, 1, type="generate")
    emit(Metric.JOBS_REPLAYED, 1)
    accepted, replayed = emf(capsys)
    assert dimensions(accepted) == {"type": "generate"}
    assert dimensions(replayed) == {}
    assert Metric.JOBS_ACCEPTED not in replayed


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
    metrics = emf(capsys)
    assert [line["status"] for line in log_lines()] == [202, 200, 422, 401]
    assert [line["problem"] for line in log_lines() if "problem" in line] == ["invalid-job", "unauthenticated"]
    written = json.dumps([log_lines(), metrics])
    assert router.token
    parts = router.token.split(".")
    for secret in (*SECRETS.values(), *METADATA.values(), "key-4711", *parts, environ["REDIS_URL"], "alice"):
        assert secret not in written


def test_a_request_writes_the_metrics_that_dashboards_count(
    router: Router, generate: Any, capsys: pytest.CaptureFixture[str]
):
    router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    router.post("/v1/jobs", {}, headers={"Idempotency-Key": "k"})
    names = [metric["Name"] for line in emf(capsys) for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    assert names == ["JobsAccepted", "Latency", "JobsReplayed", "Latency", "Latency", "RequestsRefused"]


def test_a_line_names_the_route_and_not_the_path(router: Router, log_lines: LogLines):
    router.get("/v1/jobs/job_0123456789abcdef0123456789abcdef")
    [line] = log_lines()
    assert line["route"] == "/v1/jobs/{job_id}"
    assert line["status"] == 404
    assert line["latency_ms"] > 0
