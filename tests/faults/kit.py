"""What a fault test has in its hands: callers that repeat until told yes, workers to kill, a server to kill.

Each test has a small size, for every run of the suite or for ``make rehearsals``, and a full one, for ``make faults``.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import redis

from chalicelib.errors import QueueUnavailable
from chalicelib.jobs.admission import Caller, Decision, NewJob, QueuePolicy, Submission
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.job_types import JOB_TYPES
from chalicelib.jobs.redis_client import RedisClient, connect
from lambda_router_queue.models import Job
from lambda_router_queue.queue_keys import GROUP, QueueKeys
from tests import servers
from tests.job_ids import any_job_id
from tests.wide import WIDE

FULL = os.environ.get("ROUTER_FAULTS") == "full"  # noqa: TID251 (chooses the size of the tests)
ROOT = Path(__file__).parents[2]
QUEUE = QueueKeys("tinyllama")
LEASE_SECONDS = 3

_GENERATE = JOB_TYPES["generate"]


def size(smoke: int, full: int) -> int:
    """How much of it this run does."""
    return full if FULL else smoke


def eventually(check: Callable[[], Any], seconds: float, what: str) -> None:
    """Wait until the check holds; it has to within that time."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def new_job(prompt: str = "0", key: str | None = None, **members: Any) -> NewJob:
    """A job as the router makes it. The handler of these tests works for as many milliseconds as the prompt says.

    ``ttl_seconds`` below what a caller may ask for lets a job expire while a test waits.
    """
    ttl = members.pop("ttl_seconds", None)
    body = {"type": "generate", "input": {"prompt": prompt}} | members
    request = _GENERATE.request_model.model_validate(body)
    if ttl is not None:
        request = request.model_copy(update={"ttl_seconds": ttl})
    return NewJob(any_job_id(), request, _GENERATE, key)


class Callers:
    """The router's side, without HTTP: the client, the scripts and the error map of the product."""

    def __init__(self, url: str, policy: QueuePolicy = WIDE) -> None:
        self.client = RedisClient(partial(connect, url))
        self.side = JobQueue(self.client, policy, [QUEUE.queue])

    def submit(self, jobs: Sequence[NewJob], owner: str = "alice") -> Sequence[Decision]:
        """One try."""
        return self.side.submit(Submission(jobs, QUEUE, Caller(owner, "request-1", "00-a-b-01"))).decisions

    def send(self, owner: str = "alice", **members: Any) -> str:
        """Send one job, and again until the answer is yes, as a caller does who is told 503. Its id.

        Every sending draws a new id, so only the key, if there is one, makes the repeats one job.
        """
        for _ in range(1_000):
            try:
                (decision,) = self.submit([new_job(**members)], owner)
            except QueueUnavailable:
                time.sleep(0.005)
                continue
            assert decision.verdict in {"accepted", "replayed"}
            return decision.job_id
        raise AssertionError("refused a thousand times")

    def look(self, ids: Sequence[str], owner: str = "alice") -> list[Job]:
        """The jobs as they now stand; each has to be there."""
        jobs = self.side.look_all(QUEUE, owner, ids)
        assert None not in jobs, f"{jobs.count(None)} of {len(ids)} jobs are lost"
        return [job for job in jobs if job is not None]

    def close(self) -> None:
        self.client.close()


class Server:
    """A Valkey that writes down whatever changes (AOF), and can be killed and started again at the same port."""

    def __init__(self, folder: Path, fsync: str = "everysec", **options: str) -> None:
        self._folder = folder
        config: dict[str, Any] = {"appendonly": "yes", "appendfsync": fsync, "auto-aof-rewrite-percentage": "0"}
        self._valkey = servers.valkey(data_dir=folder, persist=True, config=config | options)
        self._valkey.start()
        self.port = self._valkey.port
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.db: Any = redis.Redis.from_url(self.url, decode_responses=True)

    def kill(self) -> None:
        """SIGKILL: what it has not given to the operating system is gone."""
        self._valkey.terminate()

    def restart(self) -> None:
        """Come back at the same port; returns when the file is read."""
        self._valkey.start()

    def signal(self, signum: signal.Signals) -> None:
        process = self._valkey._process
        assert process is not None, "the server is not running"
        process.send_signal(signum)

    def close(self) -> None:
        self.db.close()
        if self._valkey.is_running():
            self._valkey.terminate()

    def entries_left(self) -> int:
        """Jobs in the streams, waiting or claimed, and in the sorted set."""
        return int(sum(self.db.xlen(stream) for stream in QUEUE.streams) + self.db.zcard(QUEUE.scheduled))

    def pending(self) -> int:
        """Entries that a consumer still has, over all streams."""
        return int(sum(self.db.xpending(stream, GROUP)["pending"] for stream in QUEUE.streams))

    def final_writes(self) -> Counter[str]:
        """How often each job's final state was written, by the server's own record of every change."""
        eventually(self._all_written_down, 10, "the AOF is written")
        writes: Counter[str] = Counter()
        prefix = QUEUE.job("")
        for file in sorted((self._folder / "appendonlydir").glob("*.incr.aof")):
            for name, key, *rest in commands(file.read_bytes()):
                if name == "HSET" and key.startswith(prefix) and "finished_at" in rest[::2]:
                    writes[key.removeprefix(prefix)] += 1
        return writes

    def _all_written_down(self) -> bool:
        facts = self.db.info("persistence")
        return bool(facts["aof_buffer_length"] == 0 and facts["aof_pending_bio_fsync"] == 0)


def commands(aof: bytes) -> Iterator[list[str]]:
    """The commands of an append-only file that have a key; an end that was cut off is left out."""
    at = 0

    def number() -> int:
        nonlocal at
        end = aof.index(b"\r\n", at)
        value, at = int(aof[at + 1 : end]), end + 2
        return value

    while at < len(aof):
        try:
            words = []
            for _ in range(number()):
                length = number()
                words.append(aof[at : at + length].decode())
                at += length + 2
        except ValueError:
            return
        if len(words) > 1:
            yield [words[0].upper(), *words[1:]]


@dataclass
class Crew:
    """Worker processes, ``lambda-router-worker``, and what their handler wrote down."""

    url: str
    folder: Path
    handler: str = "tests.faults.handler:work"
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    killed: set[int] = field(default_factory=set)

    def hire(self, options: Sequence[str] = ()) -> int:
        """Start one more worker; its process id."""
        command = [sys.executable, "-m", "lambda_router_worker", "--handler", self.handler, "--queue", QUEUE.queue]
        command += ["--lease-seconds", str(LEASE_SECONDS), "--max-deaths", "100", *options]
        environ = {**os.environ, "REDIS_URL": self.url, "ROUTER_FAULT_LOG": str(self.log)}  # noqa: TID251
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        self.processes.append(process)
        return process.pid

    def kill_one(self, rng: random.Random) -> None:
        """SIGKILL to one that has begun to work, chosen by chance, at a moment chosen by chance; hire another."""
        eventually(self._working, 30, f"a worker works; log:\n{self.said()}")
        victim = rng.choice(self._working())
        time.sleep(rng.uniform(0, 0.06))
        victim.kill()
        victim.wait()
        self.killed.add(victim.pid)
        self.processes.remove(victim)
        self.hire()

    def signal(self, pid: int, signum: signal.Signals) -> None:
        (process,) = (process for process in self.processes if process.pid == pid)
        process.send_signal(signum)

    def dismiss(self, pid: int) -> None:
        """SIGTERM, and wait until it has left."""
        self.signal(pid, signal.SIGTERM)
        (process,) = (process for process in self.processes if process.pid == pid)
        assert process.wait(20) == 0

    def close(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def begun(self) -> list[tuple[str, int]]:
        """Each time that a handler was called: the job and the worker's process, in order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(job_id, int(pid)) for job_id, pid in map(str.split, lines)]

    def begun_again(self) -> Counter[str]:
        """Jobs that were begun more than once, and how many times more."""
        return Counter(job_id for job_id, _ in self.begun()) - Counter({job_id for job_id, _ in self.begun()})

    def begun_again_without_need(self) -> set[str]:
        """Jobs begun again although the worker that had begun them was not killed while it had them.

        A worker has one job at a time, so a killed one had the job that it began last.
        """
        starts: Mapping[str, list[int]] = defaultdict(list)
        last: dict[int, str] = {}
        for job_id, pid in self.begun():
            starts[job_id].append(pid)
            last[pid] = job_id
        return {
            job_id
            for job_id, pids in starts.items()
            if any(pid not in self.killed or last[pid] != job_id for pid in pids[:-1])
        }

    def said(self) -> str:
        """What the workers logged."""
        return (self.folder / "worker.log").read_text()

    def _working(self) -> list["subprocess.Popen[bytes]"]:
        pids = {pid for _, pid in self.begun()}
        return [process for process in self.processes if process.pid in pids]

    @property
    def log(self) -> Path:
        """The file in which the handler writes down what it begins."""
        return self.folder / "begun.log"
