"""One JSON line per request, by aws-lambda-powertools on standard output, and its metrics.

A line never holds a token, a prompt, a result or the Redis URL: only what ``RequestRecord`` and ``Notes`` list.
"""

import json
import logging
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

from aws_lambda_powertools.logging import Logger

from lambda_router_queue import metrics
from lambda_router_queue.metrics import SERVICE, Metric

log = Logger(
    service=SERVICE,
    level="INFO",
    log_uncaught_exceptions=False,
    log_record_order=["level", "message"],
    json_deserializer=str,  # else each message is parsed, in the hope that it is JSON
    # In ASCII: a path may hold what turns a line round or moves a terminal's cursor.
    json_serializer=json.JSONEncoder(default=str, separators=(",", ":")).encode,
)


def _without_words(record: logging.LogRecord) -> bool:
    """Log class and place instead of a traceback, also where Chalice logs one: its own words may quote a caller."""
    if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        from lambda_router_queue import traces  # a cold start does without it

        vars(record).update(traces.facts(record.exc_info[1]))
        record.exc_info = None
    return True


log.addFilter(_without_words)
# What every record would gather and no line shows (https://docs.python.org/3/howto/logging.html#optimization).
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


@dataclass
class Notes:
    """What the code learns about a request while it answers it, for the log line.

    Attributes:
        principal: the caller's hash.
        problem: slug of the problem answered.
        reason: why a token was refused, or which setting is wrong; operators see it, callers never do.
    """

    principal: str | None = None
    job_id: str | None = None
    trace_id: str | None = None
    problem: str | None = None
    reason: str | None = None


def odd_figure(field: str) -> None:
    """Log that a field of the queue's figures holds no number."""
    log.error("odd_figure", extra={"field": field})


_notes: ContextVar[Notes] = ContextVar("notes")


def begin_notes() -> Notes:
    """Fresh notes for the request that starts now, of which nothing is measured yet."""
    fresh = Notes()
    _notes.set(fresh)
    metrics.begin()
    return fresh


def notes() -> Notes:
    """The notes of the request at hand."""
    return _notes.get()


class RequestRecord(NamedTuple):
    """The rest of the log line.

    Attributes:
        method: one that HTTP has, else ``other``.
        route: the route's pattern, never the path that was asked for; ``unknown`` where there is none.
        latency_ms: from the first to the last line of our code.
        cold_start: whether this was the process's first request.
    """

    request_id: str
    method: str
    route: str
    status: int
    latency_ms: float
    cold_start: bool


def log_request(record: RequestRecord, learnt: Notes, stack: str) -> None:
    """Write the line and the metrics of one request to that stack."""
    line = record._asdict() | vars(learnt)
    log.info("request", extra={name: value for name, value in line.items() if value is not None})
    metrics.add(Metric.LATENCY, record.latency_ms, f"{record.method} {record.route}")
    if learnt.problem is not None:
        metrics.add(Metric.REQUESTS_REFUSED, 1, learnt.problem)
    metrics.flush(stack)
