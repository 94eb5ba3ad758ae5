"""``python -m tests.faults.environment``: one Lambda execution environment, and the callers who come to it.

A process that has one request at a time, as in Lambda: it calls the app's real entry point with API Gateway's events.
It reads plans from standard input, one JSON line each, and follows one until the next line comes; then it asks some of
its keys again, and says ``done``. Every request with its answer is a line of the plan's history (``history.Answer``).
"""

import gc
import json
import math
import os
import random
import select
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from chalicelib import wiring
from tests.conftest import Reply, Router
from tests.faults.history import job_key

#: What a caller waits after a 503 before it comes again; it would wait longer if it did as ``Retry-After`` says.
PAUSE_SECONDS = 0.03
#: Of the requests that were not acknowledged, how many are sent again at once; the others are given up on.
PATIENCE = 0.7
#: How often standard input is looked at while there is nothing to send.
_LOOK_SECONDS = 0.05
#: How many acknowledged requests are kept, to be sent again.
_REMEMBERED = 1_000


@dataclass(frozen=True)
class Plan:
    """What an environment is to do.

    Attributes:
        environ: the function's variables.
        tokens: of the callers.
        history: the file to write to; ``name`` makes its keys its own.
        batch: how many jobs a batch has; every other request is one; 0: all are single jobs.
        per_second: requests a second, one after the other at even distances; one that comes while another is at work
            is not sent, as Lambda would have given it to another environment, or throttled it. None: without a pause.
        favourite: of all requests, how many are the first caller's.
        repeats: how many of the last acknowledged requests are sent again at the end.
        repeat_within_seconds: how old these may be; the function forgets keys, as it should.
        ttl_seconds: how long a job may wait for a worker.
    """

    name: str
    environ: dict[str, str]
    tokens: list[str]
    history: str
    batch: int = 0
    per_second: float | None = None
    favourite: float = 0.0
    repeats: int = 20
    repeat_within_seconds: float = 3_600
    ttl_seconds: int = 3_600

    def to_line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


@dataclass
class Request:
    """A request that may be sent more than once."""

    key: str
    router: Router
    prompts: list[str]
    single: bool
    acknowledged_at: float = 0.0


@dataclass
class Callers:
    """The callers of one environment, as one plan has them."""

    plan: Plan
    file: IO[str]
    rng: random.Random
    number: int = 0
    due: float = 0.0
    acknowledged: deque[Request] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def work_until_told(self) -> None:
        """Send requests until standard input has something to say; then some again."""
        self.due = time.monotonic()
        while not select.select([sys.stdin], (), (), 0)[0]:
            if self._is_time():
                self._send_until_acknowledged(self._next())
        oldest = time.monotonic() - self.plan.repeat_within_seconds
        known = [request for request in self.acknowledged if request.acknowledged_at > oldest]
        for request in self.rng.sample(known, min(self.plan.repeats, len(known))):
            self._send(request)

    def _is_time(self) -> bool:
        """With a pace: wait for the next request's moment; whether it has come. What came meanwhile is not sent."""
        if self.plan.per_second is None:
            return True
        step, early = 1 / self.plan.per_second, self.due - time.monotonic()
        if early > _LOOK_SECONDS:
            time.sleep(_LOOK_SECONDS)
            return False
        if early < 0:
            self.due += step * math.ceil(-early / step)
            return False
        time.sleep(early)
        self.due += step
        return True

    def _next(self) -> Request:
        self.number += 1
        key = f"{self.plan.name}-{self.number}"
        single = not self.plan.batch or self.number % 2 == 0
        tokens = self.plan.tokens
        token = tokens[0] if self.rng.random() < self.plan.favourite else self.rng.choice(tokens)
        prompts = [self.rng.randbytes(30).hex() for _ in range(1 if single else self.plan.batch)]
        return Request(key, Router(token), prompts, single)

    def _send_until_acknowledged(self, request: Request) -> None:
        """With a pace: once. The next request is another caller's, who knows nothing of a refusal."""
        while not self._send(request):
            if self.plan.per_second is not None:
                return
            time.sleep(PAUSE_SECONDS)
            if self.rng.random() > PATIENCE:
                return
        request.acknowledged_at = time.monotonic()
        self.acknowledged.append(request)

    def _send(self, request: Request) -> bool:
        """One try; whether all of it is acknowledged."""
        began = time.monotonic()
        verdicts = _verdicts(request, self._post(request))
        took = time.monotonic() - began
        self.file.write(json.dumps([request.key, request.prompts, began, took, verdicts]) + "\n")
        self.file.flush()
        return all(status == 202 for status, _ in verdicts)

    def _post(self, request: Request) -> Reply:
        common = {"type": "generate", "ttl_seconds": self.plan.ttl_seconds}
        jobs = [
            common | {"input": {"prompt": prompt}, "metadata": {"key": job_key(request.key, place)}}
            for place, prompt in enumerate(request.prompts)
        ]
        path, body = ("/v1/jobs", jobs[0]) if request.single else ("/v1/jobs/batch", {"jobs": jobs})
        return request.router.post(path, body, headers={"Idempotency-Key": request.key})


def _verdicts(request: Request, reply: Reply) -> list[tuple[int, str]]:
    body: Any = reply.json
    if not request.single and reply.status == 200:
        return [(item["status"], item["job"]["id"] if item["job"] else "") for item in body["data"]]
    return [(reply.status, body["id"] if reply.status == 202 else "")] * len(request.prompts)


def main() -> None:
    """Follow plan after plan until standard input ends. What the app logs goes to standard error."""
    told = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while (line := _read_line()).startswith("{"):
        _follow(Plan(**json.loads(line)), told)
        gc.collect()  # the plan's connection is closed with the last that knows it
        told.write("done\n")


def _follow(plan: Plan, told: IO[str]) -> None:
    with wiring.use(wiring.build(plan.environ)), Path(plan.history).open("w") as file:
        told.write("ready\n")
        Callers(plan, file, random.Random(plan.name)).work_until_told()
    _read_line()


def _read_line() -> str:
    """Byte by byte: what is read ahead, ``select`` does not see."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line.decode()


if __name__ == "__main__":
    main()
