"""Measured figures of each kind of request, and what Lambda and API Gateway write beside our own lines."""

import json
import math
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

MEASURED = Path(__file__).parent / "measured.toml"
#: Bytes that CloudWatch counts for each line beside its text:
#: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
EVENT_BYTES = 26
#: MB of memory at which a function has a whole processor: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
WHOLE_PROCESSOR_MB = 1_769
#: What Lambda itself logs of an invocation: https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
LAMBDAS_LINES = (
    "START RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95 Version: 12\n",
    "END RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95\n",
    "REPORT RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95\tDuration: 4.23 ms\tBilled Duration: 5 ms\t"
    "Memory Size: 512 MB\tMax Memory Used: 89 MB\t\n",
)
#: An access log line; its members are those of ``terraform/api.tf``.
ACCESS_LINE = {
    "extendedRequestId": "JKJaXmPLvHcESHA=",
    "httpMethod": "POST",
    "integrationLatency": "12",
    "integrationStatus": "202",
    "ip": "203.0.113.178",
    "protocol": "HTTP/1.1",
    "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
    "requestTime": "29/Nov/2026:12:00:00 +0000",
    "resourcePath": "/v1/jobs/{job_id}",
    "responseLatency": "14",
    "responseLength": "1043",
    "responseType": "-",
    "status": "202",
    "timeToFirstContent": "-",
}
#: Round trips to Redis. A wait asks every 50 to 500 ms, which its own time covers; a page of a list takes two.
ROUND_TRIPS = {"health": 0, "list": 2}


class Figures(NamedTuple):
    """What a request of one kind writes and takes.

    Attributes:
        cpu_us: microseconds of a whole processor.
        series: the metric series that it adds to.
    """

    log_bytes: int
    log_lines: int
    metric_bytes: int
    metric_lines: int
    cpu_us: int
    series: tuple[str, ...]

    @property
    def own_bytes(self) -> int:
        """What CloudWatch counts of our own lines."""
        return self.log_bytes + self.metric_bytes + EVENT_BYTES * (self.log_lines + self.metric_lines)

    def milliseconds(self, kind: str, memory: int, redis_ms: float) -> int:
        """Return what Lambda bills: whole milliseconds, of a processor that is smaller with less memory."""
        cpu_ms = self.cpu_us / 1_000 * max(1.0, WHOLE_PROCESSOR_MB / memory)
        return max(1, math.ceil(cpu_ms + ROUND_TRIPS.get(kind, 1) * redis_ms))


@cache
def figures() -> Mapping[str, Figures]:
    """Return the figures by kind of request."""
    found = tomllib.loads(MEASURED.read_text(encoding="utf-8"))
    return {
        kind: Figures(**each | {"series": tuple(each["series"])})
        for kind, each in found.items()
        if isinstance(each, dict)
    }


def machine() -> str:
    """Return when and on which machine the figures were measured."""
    return str(tomllib.loads(MEASURED.read_text(encoding="utf-8"))["measured"])


def lambdas_bytes() -> int:
    """Return the bytes that CloudWatch counts of Lambda's lines about one invocation."""
    return sum(len(line) + EVENT_BYTES for line in LAMBDAS_LINES)


def access_bytes() -> int:
    """Return the bytes that CloudWatch counts of one access log line."""
    return len(json.dumps(ACCESS_LINE, separators=(",", ":"))) + EVENT_BYTES
