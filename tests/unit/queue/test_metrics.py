"""lambda_router_queue.metrics: lines that CloudWatch understands, one for all that a request measured.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import ValidationError

from chalicelib.observability import Notes, RequestRecord, begin_notes, log_request
from lambda_router_queue import metrics
from lambda_router_queue.metrics import Metric
from tests.conftest import Router
from tests.emf import Line, assert_well_formed, metric_lines, metrics_of

type Lines = Callable[[], list[Line]]

STACK = "lambda-router-prod"
RECORD = RequestRecord("request-1", "GET", "/v1/jobs/{job_id}", 200, 12.345, cold_start=True)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """What was written since the last call, in a request of its own."""
    begin_notes()
    yield lambda: metric_lines(capsys.readouterr().out)
    metrics.begin()


def dimensions(**more: str) -> dict[str, str]:
    return {"service": "lambda-router", "stack": STACK} | more


def test_latency_is_a_metric_by_route(lines: Lines):
    log_request(RECORD, Notes(), STACK)
    [line] = lines()
    assert metrics_of(line) == {"Latency": (12.345, "Milliseconds", dimensions(route="GET /v1/jobs/{job_id}"))}


def test_all_of_a_request_is_one_line(lines: Lines):
    metrics.add(Metric.JOBS_ACCEPTED, 1, "generate")
    metrics.add(Metric.JOBS_REPLAYED, 1)
    log_request(RECORD, Notes(problem="not-found"), STACK)
    [line] = lines()
    assert metrics_of(line) == {
        "JobsAccepted": (1, "Count", dimensions(type="generate")),
        "JobsReplayed": (1, "Count", dimensions()),
        "Latency": (12.345, "Milliseconds", dimensions(route="GET /v1/jobs/{job_id}")),
        "RequestsRefused": (1, "Count", dimensions(reason="not-found")),
    }


def test_a_line_bears_the_time_in_milliseconds(lines: Lines):
    before = int(time.time() * 1000)
    metrics.write({(Metric.JOBS_REPLAYED, ""): 1}, STACK)
    [line] = lines()
    assert before <= line["_aws"]["Timestamp"] <= time.time() * 1000


@pytest.mark.parametrize("metric", Metric, ids=str)
def test_every_metric_can_be_written(metric: Metric, lines: Lines):
    metrics.add(metric, 2.5, "some" if metric.dimension else "")
    metrics.flush(STACK)
    [line] = lines()
    wanted = dimensions(**({metric.dimension: "some"} if metric.dimension else {}))
    assert metrics_of(line) == {metric.value: (2.5, metric.unit, wanted)}


def test_the_same_of_the_same_is_summed_and_of_another_has_a_line_of_its_own(lines: Lines):
    for kind in ("generate", "chat", "generate", "other", "generate"):
        metrics.add(Metric.JOBS_ACCEPTED, 1, kind)
    metrics.flush(STACK)
    assert [(line["type"], line["JobsAccepted"]) for line in lines()] == [("generate", 3), ("chat", 1), ("other", 1)]


def test_metrics_of_one_dimension_share_a_directive(lines: Lines):
    metrics.write({(Metric.DEAD_LETTERS, "tinyllama"): 0, (Metric.WORKERS_ALIVE, "tinyllama"): 2}, STACK)
    [line] = lines()
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert [metric["Name"] for metric in directive["Metrics"]] == ["DeadLetters", "WorkersAlive"]


def test_nothing_measured_writes_nothing(lines: Lines):
    metrics.flush(STACK)
    assert lines() == []


def test_a_request_does_not_write_what_another_measured(lines: Lines):
    metrics.add(Metric.JOBS_REPLAYED, 1)
    metrics.flush(STACK)
    metrics.add(Metric.JOBS_ACCEPTED, 1, "generate")
    begin_notes()  # whatever became of that one
    metrics.add(Metric.JOBS_ACCEPTED, 1, "chat")
    metrics.flush(STACK)
    replayed, accepted = lines()
    assert list(metrics_of(replayed)) == ["JobsReplayed"]
    assert (list(metrics_of(accepted)), accepted["type"]) == (["JobsAccepted"], "chat")


def test_a_thread_does_not_write_what_another_measured(lines: Lines):
    metrics.add(Metric.JOBS_ACCEPTED, 1, "generate")

    def elsewhere() -> None:
        begin_notes()
        metrics.add(Metric.JOBS_REPLAYED, 1)
        metrics.flush(STACK)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    metrics.flush(STACK)
    assert [list(metrics_of(line)) for line in lines()] == [["JobsReplayed"], ["JobsAccepted"]]


KEYS = st.sampled_from(Metric).flatmap(
    lambda metric: st.tuples(st.just(metric), st.text(min_size=1, max_size=1_500) if metric.dimension else st.just(""))
)


@given(st.dictionaries(KEYS, st.integers(0, 10**9) | st.floats(0, 1e9), max_size=12))
def test_whatever_is_measured_is_written_whole_and_well_formed(measured: dict[tuple[Metric, str], float]):
    documents = list(metrics._documents(measured, STACK, 1_700_000_000_000))
    for document in documents:
        assert_well_formed(document)
    written = [
        (name, value, found.get(Metric(name).dimension, ""))
        for document in documents
        for name, (value, _, found) in metrics_of(document).items()
    ]
    wanted = [(metric.value, value, of[: metrics.MAX_DIMENSION_CHARACTERS]) for (metric, of), value in measured.items()]
    assert sorted(written) == sorted(wanted)


def test_the_check_of_lines_would_notice(lines: Lines):
    metrics.write({(Metric.LATENCY, "GET /health"): 1}, STACK)
    [line] = lines()
    unnamed = [line["_aws"]["CloudWatchMetrics"][0] | {"Dimensions": [["service", "colour"]]}]
    broken: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"_aws": {"CloudWatchMetrics": []}}, ValidationError),
        ({"_aws": line["_aws"] | {"Timestamp": "today"}}, ValidationError),
        ({"_aws": line["_aws"] | {"CloudWatchMetrics": unnamed}}, KeyError),
        ({"route": ""}, AssertionError),
        ({"Latency": "1"}, AssertionError),
    ]
    for members, refusal in broken:
        with pytest.raises(refusal):
            assert_well_formed(line | members)


def test_a_request_writes_the_metrics_that_dashboards_count(router: Router, generate: Any, lines: Lines):
    router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    router.post("/v1/jobs", {}, headers={"Idempotency-Key": "k"})
    assert [list(metrics_of(line)) for line in lines()] == [
        ["JobsAccepted", "Latency"],
        ["JobsReplayed", "Latency"],
        ["Latency", "RequestsRefused"],
    ]


def test_a_batch_counts_its_jobs_by_type_and_its_refusals_by_reason(router: Router, generate: Any, lines: Lines):
    chat = {"type": "chat", "input": {"messages": [{"role": "user", "content": "hi"}]}}
    router.post("/v1/jobs/batch", {"jobs": [generate, chat, generate, {"type": "nope"}, generate, {"type": "no"}]})
    first, second = lines()
    assert (first["JobsAccepted"], first["type"]) == (3, "generate")
    assert (first["RequestsRefused"], first["reason"]) == (2, "invalid-job")
    assert first["route"] == "POST /v1/jobs/batch"
    assert metrics_of(second) == {"JobsAccepted": (1, "Count", dimensions(stack="local", type="chat"))}
