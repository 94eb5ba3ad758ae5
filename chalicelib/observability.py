"""One JSON log line per request, by aws-lambda-powertools on standard output, and its metrics.

A line contains only what ``RequestRecord`` and ``Notes`` list: never a token, a prompt, a result or the Redis URL.
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
    json_deserializer=str,  # otherwise it tries to parse each message as JSON
    # ASCII only: a path may contain characters that reverse a line or move a terminal's cursor.
    json_serializer=json.JSONEncoder(default=str, separators=(",", ":")).encode,
)


def _without_words(record: logging.LogRecord) -> bool:
    """Log class and place instead of a traceback, even for Chalice: an exception's message may quote a caller."""
    if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        from lambda_router_queue import traces  # deferred: a cold start does not need it

        vars(record).update(traces.facts(record.exc_info[1]))
        record.exc_info = None
    return True


log.addFilter(_without_words)
# Facts that every record would collect and no line shows (https://docs.python.org/3/howto/logging.html#optimization).
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


@dataclass
class Notes:
    """Facts learned while a request is handled, for its log line.

    Attributes:
        principal: the caller's hash.
        problem: slug of the problem returned.
        reason: why a token was rejected, or which setting is wrong; shown to operators, never to callers.
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
    """Start new notes and clear the metrics, for a new request."""
    fresh = Notes()
    _notes.set(fresh)
    metrics.begin()
    return fresh


def notes() -> Notes:
    """Return the notes of the current request."""
    return _notes.get()


class RequestRecord(NamedTuple):
    """The other fields of the log line.

    Attributes:
        method: an HTTP method, or ``other``.
        route: the route's pattern, never the requested path; ``unknown`` if no route matches.
        latency_ms: from the first to the last line of our code; of a streamed response, until its body has ended.
        cold_start: whether this was the process's first request.
    """

    request_id: str
    method: str
    route: str
    status: int
    latency_ms: float
    cold_start: bool


def log_request(record: RequestRecord, learnt: Notes, stack: str) -> None:
    """Write the log line of one request, and its metrics for that stack."""
    line = record._asdict() | vars(learnt)
    log.info("request", extra={name: value for name, value in line.items() if value is not None})
    metrics.add(Metric.LATENCY, record.latency_ms, f"{record.method} {record.route}")
    if learnt.problem is not None:
        metrics.add(Metric.REQUESTS_REFUSED, 1, learnt.problem)
    metrics.flush(stack)
