"""One JSON line per request and CloudWatch metrics (EMF), both by aws-lambda-powertools on standard output.

A line never holds a token, a prompt, a result or the Redis URL: only what ``RequestRecord`` and ``Notes`` list.
"""

import threading
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

SERVICE = "lambda-router"
NAMESPACE = "LambdaRouter"

#: Built once: it costs more to build than to write a line with. A flush empties it.
_metrics = EphemeralMetrics(namespace=NAMESPACE, service=SERVICE)
_metrics_lock = threading.Lock()

log = Logger(service=SERVICE, level="INFO", log_uncaught_exceptions=False, log_record_order=["level", "message"])


class Metric(StrEnum):
    """Every metric. Dimensions: ``service``, and ``type`` for accepted jobs, ``reason`` for refusals, ``route`` for
    latency, ``queue`` for what the workers write."""

    JOBS_ACCEPTED = "JobsAccepted"
    JOBS_REPLAYED = "JobsReplayed"
    REQUESTS_REFUSED = "RequestsRefused"
    LATENCY = "Latency"
    DEAD_LETTERS = "DeadLetters"
    JOBS_WAITING = "JobsWaiting"
    OLDEST_WAITING = "OldestWaiting"
    WORKERS_ALIVE = "WorkersAlive"


@dataclass
class Notes:
    """What the code learns about a request while it answers it, for the log line.

    Attributes:
        principal: the caller's hash.
        problem: slug of the problem answered.
        reason: why a token was refused; operators see it, callers never do.
    """

    principal: str | None = None
    job_id: str | None = None
    trace_id: str | None = None
    problem: str | None = None
    reason: str | None = None


_notes: ContextVar[Notes] = ContextVar("notes")


def begin_notes() -> Notes:
    """Fresh notes for the request that starts now."""
    fresh = Notes()
    _notes.set(fresh)
    return fresh


def notes() -> Notes:
    """The notes of the request at hand."""
    return _notes.get()


@dataclass(frozen=True)
class RequestRecord:
    """The rest of the log line.

    Attributes:
        route: the route's pattern, never the path that was asked for.
        latency_ms: from the first to the last line of our code.
        cold_start: whether this was the process's first request.
    """

    request_id: str
    method: str
    route: str
    status: int
    latency_ms: float
    cold_start: bool


def log_request(record: RequestRecord, learnt: Notes) -> None:
    """Write the line and the metrics of one request."""
    line = vars(record) | vars(learnt)
    log.info("request", extra={name: value for name, value in line.items() if value is not None})
    emit(Metric.LATENCY, record.latency_ms, MetricUnit.Milliseconds, route=f"{record.method} {record.route}")
    if learnt.problem is not None:
        emit(Metric.REQUESTS_REFUSED, 1, reason=learnt.problem)


def emit(metric: Metric, value: float, unit: MetricUnit = MetricUnit.Count, **dimensions: str) -> None:
    """Write one metric as an EMF line."""
    emit_together({metric: (value, unit)}, **dimensions)


def emit_together(values: Mapping[Metric, tuple[float, MetricUnit]], **dimensions: str) -> None:
    """Write metrics of the same dimensions as one EMF line."""
    with _metrics_lock:
        for name, dimension in dimensions.items():
            _metrics.add_dimension(name=name, value=dimension)
        for metric, (value, unit) in values.items():
            _metrics.add_metric(name=metric, unit=unit, value=value)
        _metrics.flush_metrics()
