"""CloudWatch metrics on standard output: one request's measurements in the embedded metric format (EMF).

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html;
``docs/decisions/0043-own-metric-lines.md`` says why no library writes it.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from enum import StrEnum
from typing import Any, Self

from pydantic_core import to_json

SERVICE = "lambda-router"
NAMESPACE = "LambdaRouter"
#: The stack's name if neither `ROUTER_STACK` nor the worker's `--stack` gives one.
DEFAULT_STACK = "local"
#: Valid names of a stack, as Terraform names its resources.
STACK_PATTERN = r"^[a-z][a-z0-9-]{0,50}$"
#: The specification's limit ("DimensionSet array"); a line with a longer value would be lost entirely.
MAX_DIMENSION_CHARACTERS = 1_024


class Metric(StrEnum):
    """Every metric: name, unit, dimension beside ``service`` and ``stack`` ("": none), and meaning, for the pages."""

    unit: str
    dimension: str
    meaning: str

    def __new__(cls, name: str, unit: str, dimension: str, meaning: str) -> Self:
        member = str.__new__(cls, name)
        member._value_, member.unit, member.dimension, member.meaning = name, unit, dimension, meaning
        return member

    JOBS_ACCEPTED = "JobsAccepted", "Count", "type", "A job was stored; `type` is the job type."
    JOBS_REPLAYED = "JobsReplayed", "Count", "", "An `Idempotency-Key` was seen before; its first job was returned."
    REQUESTS_REFUSED = "RequestsRefused", "Count", "reason", "A request ended in a problem; `reason` is its slug."
    WAITS_REFUSED = (
        "WaitsRefused",
        "Count",
        "reason",
        "A request to be held found no place; `reason` says whose places were all taken: `caller` or `all`.",
    )
    LATENCY = (
        "Latency",
        "Milliseconds",
        "route",
        "Time in our own code, of a streamed response until its end; `route` is method and pattern.",
    )
    DEAD_LETTERS = (
        "DeadLetters",
        "Count",
        "queue",
        "Dead letters in the queue. Workers report this metric and all below.",
    )
    JOBS_WAITING = "JobsWaiting", "Count", "queue", "Jobs that wait, without delayed jobs and retries."
    OLDEST_WAITING = (
        "OldestWaiting",
        "Seconds",
        "queue",
        "How long the first waiting job has been in its line; 0 if none waits.",
    )
    WORKERS_ALIVE = "WorkersAlive", "Count", "queue", "Workers that reported in the last 15 s."
    MODEL_SERVER_UP = (
        "ModelServerUp",
        "Count",
        "queue",
        "1 while this worker claims jobs, 0 while its model server is in trouble.",
    )
    JOBS_FAILED = (
        "JobsFailed",
        "Count",
        "code",
        "Jobs that this worker saw end as `failed` since it last reported; `code` is their `error.code`.",
    )


type Measured = Mapping[tuple[Metric, str], float]
"""Metric and the value of its dimension ("" where it has none) → what was measured."""

_measured: ContextVar[dict[tuple[Metric, str], float]] = ContextVar("measured")


def begin() -> None:
    """Clear the measurements, for a new request."""
    _measured.set({})


def add(metric: Metric, value: float, of: str = "") -> None:
    """Add a measurement of the current request. Those of the same thing are summed, such as a batch's jobs."""
    measured, key = _measured.get(), (metric, of)
    measured[key] = measured.get(key, 0) + value


def flush(stack: str) -> None:
    """Write the measurements of the current request."""
    write(_measured.get(), stack)
    begin()


def write(measured: Measured, stack: str) -> None:
    """Write these measurements, on as few lines as possible.

    Args:
        stack: the stack's name. Without it, two stacks in one account and region would share their numbers, and an
            alarm of one would go off because of the other.
    """
    for document in _documents(measured, stack, int(time.time() * 1000)):
        line = to_json(document).decode() + "\n"
        sys.stdout.write(line)  # in one piece, so that other threads do not write into it


def _documents(measured: Measured, stack: str, timestamp_ms: int) -> Iterator[dict[str, Any]]:
    """Yield EMF documents. Each has room for one value per dimension: a second job type goes into the next one."""
    values: dict[str, str] = {}
    for metric, of in measured:
        values.setdefault(metric.dimension, of)
    fitting = {metric: value for (metric, of), value in measured.items() if values[metric.dimension] == of}
    if fitting:
        directives = [_directive(dimension, fitting) for dimension in values]
        named = {dimension: of for dimension, of in values.items() if dimension} | {"stack": stack}
        cut = {dimension: of[:MAX_DIMENSION_CHARACTERS] for dimension, of in named.items()}
        metadata = {"Timestamp": timestamp_ms, "CloudWatchMetrics": directives}
        yield {"_aws": metadata, "service": SERVICE} | cut | fitting
        if len(fitting) < len(measured):
            rest = {key: value for key, value in measured.items() if values[key[0].dimension] != key[1]}
            yield from _documents(rest, stack, timestamp_ms)


def _directive(dimension: str, metrics: Mapping[Metric, float]) -> dict[str, Any]:
    """Return a MetricDirective for the metrics that have this dimension."""
    return {
        "Namespace": NAMESPACE,
        "Dimensions": [["service", "stack", dimension] if dimension else ["service", "stack"]],
        "Metrics": [{"Name": one.value, "Unit": one.unit} for one in metrics if one.dimension == dimension],
    }
