"""Idle workers of one checkout in one process. Started by ``side.py``: ``workers.py CHECKOUT REDIS_URL NUMBER``.

A job's prompt says what happens at its first attempt. A worker that dies falls silent, and another takes its place.
"""

import asyncio
import logging
import random
import sys

checkout, redis_url, number = sys.argv[1:]
sys.path[0] = checkout

from lambda_router_worker.job import Job  # noqa: E402 (found on the path set above)
from lambda_router_worker.outcomes import TryAgain  # noqa: E402
from lambda_router_worker.processing.consumer import Consumer  # noqa: E402
from lambda_router_worker.processing.job_run import JobRun  # noqa: E402
from lambda_router_worker.queue import connection  # noqa: E402
from lambda_router_worker.queue.work_queue import WorkQueue  # noqa: E402
from tests.faults.kit import LEASE_SECONDS, QUEUE  # noqa: E402

#: Least delay of a retry, so that the benchmark sees the time for which it is planned.
RETRY_SECONDS = 0.5
#: Until a worker gives a job back, those that have taken its place are idle, at any point of their waits.
GIVE_BACK_SECONDS = (1.2, 2.3)


class Workers:
    """Any number of workers. Each job meets trouble once."""

    def __init__(self) -> None:
        self._met = set[str]()
        self._tasks = list[asyncio.Task[None]]()

    def add(self) -> None:
        """Start a worker."""
        redis = connection.connect(redis_url)
        queue = WorkQueue(redis, QUEUE.queue, f"worker-{len(self._tasks)}", LEASE_SECONDS * 1000)
        run: JobRun

        async def handler(job: Job) -> str:
            prompt = job.input["prompt"]
            if job.id in self._met:
                return "done"
            self._met.add(job.id)
            if prompt == "retried":
                raise TryAgain("busy", "Busy.", RETRY_SECONDS)
            if prompt == "given back":
                self.add()
                await asyncio.sleep(random.uniform(*GIVE_BACK_SECONDS))
                await run.give_back_all([])
                seconds, micros = await redis.execute("TIME")
                await redis.execute("SET", f"given back:{job.id}", int(seconds) * 1000 + int(micros) // 1000)
                await _fall_silent(redis)
            if prompt == "of a dead worker":
                self.add()
                await _fall_silent(redis)
            return "done"

        run = JobRun(queue, handler)
        self._tasks.append(asyncio.create_task(Consumer(queue, run, 1).run(asyncio.Event())))


async def _fall_silent(redis: connection.Connection) -> None:
    """Send nothing more over this connection, and never return."""

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    redis.execute = redis.wait = never  # type: ignore[method-assign,assignment]
    await never()


async def main() -> None:
    logging.disable(logging.ERROR)
    workers = Workers()
    for _ in range(int(number)):
        workers.add()
        await asyncio.sleep(0.01)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
