"""Submission, processing, hand-over and memory of this project's queue and of five libraries, on one Valkey.

Ours runs the product's own code on both sides: admission with its limits, leases, fencing, and a record with an
outcome. The libraries run in ``.venv-bench``; without it only ours is measured.
"""

import asyncio
import json
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any

import redis

from lambda_router_queue.models import Envelope
from lambda_router_worker.processing.consumer import Consumer
from lambda_router_worker.processing.job_run import JobRun
from lambda_router_worker.queue import connection
from lambda_router_worker.queue.work_queue import WorkQueue
from tests.faults.kit import QUEUE, Callers, new_job

HERE = Path(__file__).parent
BENCH_PYTHON = HERE.parent / ".venv-bench/bin/python"
LIBRARIES = ("rq", "celery", "arq", "dramatiq", "bullmq")
OURS = "this project"
CONCURRENCY = 10
#: As large as the payload of a library's job.
PROMPT = "x" * 1_000


def measured(names: list[str], url: str, count: int) -> dict[str, dict[str, Any]]:
    """Return the figures of ``rival_queues.py`` for each library, and ours in the same form."""
    return {name: _ours(url, count) if name == OURS else _theirs(name, url, count) for name in names}


@cache
def names() -> list[str]:
    return [OURS, *(LIBRARIES if BENCH_PYTHON.exists() else ())]


def _theirs(library: str, url: str, count: int) -> dict[str, Any]:
    _empty(url)
    command = [str(BENCH_PYTHON), str(HERE / "rival_queues.py"), library, url, str(count)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
    figures: dict[str, Any] = json.loads(said.splitlines()[-1])
    return figures


def _ours(url: str, count: int) -> dict[str, Any]:
    db = _empty(url)
    callers = Callers(url)
    callers.send(prompt=PROMPT)
    empty = _bytes(db)
    spent = []
    for number in range(count):
        began = time.perf_counter()
        callers.submit([new_job(prompt=PROMPT)], f"caller-{number % 100}")
        spent.append(time.perf_counter() - began)
    full = _bytes(db)
    try:
        work = asyncio.run(_work(url, count, callers))
    finally:
        callers.close()
    return work | {"sent": spent, "waiting": (full - empty) / count, "finished": (work["after"] - empty) / count}


async def _work(url: str, count: int, callers: Callers) -> dict[str, Any]:
    times: list[float] = []

    async def done(job: Envelope) -> str:
        times.append(time.perf_counter())
        return "done"

    client = connection.connect(url)
    queue = WorkQueue(client, QUEUE.queue, "benchmark")
    stop = asyncio.Event()
    worker = asyncio.create_task(Consumer(queue, JobRun(queue, done), CONCURRENCY).run(stop))
    while len(times) < count + 1:
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.3)
    after = _bytes(redis.Redis.from_url(url))
    hand_over = []
    for number in range(min(count, 50)):
        await asyncio.sleep(0.01)
        began = time.perf_counter()
        callers.send(prompt=PROMPT)
        while len(times) < count + 2 + number:
            await asyncio.sleep(0.001)
        hand_over.append(times[-1] - began)
    stop.set()
    await worker
    await client.aclose()
    return {"worked": (count - 1) / (times[count - 1] - times[0]), "hand_over": hand_over, "after": after}


def _empty(url: str) -> Any:
    """Empty the server of keys and scripts, so that what another library left does not affect these figures."""
    db = redis.Redis.from_url(url)
    db.flushall()
    db.script_flush()
    return db


def _bytes(db: Any) -> int:
    db.execute_command("MEMORY PURGE")
    return int(db.info("memory")["used_memory"])
