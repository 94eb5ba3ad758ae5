"""A worker's steps, one at a time or all by itself."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from lambda_router_queue.models import Envelope
from lambda_router_worker.processing.consumer import Consumer
from lambda_router_worker.processing.encryption import Encryption
from lambda_router_worker.processing.handlers import Handler
from lambda_router_worker.processing.job_run import JobRun
from lambda_router_worker.queue.connection import connect
from lambda_router_worker.queue.work_queue import Claim, Lease, WorkQueue
from tests.integration.in_redis import QUEUE


@asynccontextmanager
async def work_queue(
    redis_url: str, consumer: str = "worker-1", lease_ms: int = 30_000, *, prepare: bool = True
) -> AsyncIterator[WorkQueue]:
    """A worker's side of the queue, its consumer groups made."""
    async with aclosing(connect(redis_url)) as redis:
        queue = WorkQueue(redis, QUEUE, consumer, lease_ms)
        if prepare:
            await queue.prepare()
        yield queue


def job_in(claim: Claim) -> Envelope:
    return Envelope.model_validate_json(claim.envelope)


async def claim_one(queue: WorkQueue) -> Claim:
    [claim] = await queue.claim(1)
    return claim


async def start(queue: WorkQueue, claim: Claim) -> Lease | str:
    return await queue.start(claim, job_in(claim).owner)


async def start_one(queue: WorkQueue) -> Lease:
    lease = await start(queue, await claim_one(queue))
    assert isinstance(lease, Lease), lease
    return lease


def begin_job(redis_url: str) -> Lease:
    """Claim and start the next job, as a worker that then goes quiet."""

    async def begin() -> Lease:
        async with work_queue(redis_url) as queue:
            return await start_one(queue)

    return asyncio.run(begin())


def finish_begun(redis_url: str, lease: Lease) -> str:
    """Finish a job that was begun before."""

    async def finish() -> str:
        async with work_queue(redis_url, prepare=False) as queue:
            return await queue.complete(lease, '"done"')

    return asyncio.run(finish())


def finish_job(redis_url: str, *, result: Any = None, error: dict[str, str] | None = None) -> None:
    """Claim, start and finish the next job, as a worker would."""

    async def finish() -> str:
        async with work_queue(redis_url) as queue:
            lease = await start_one(queue)
            if error is not None:
                return await queue.fail(lease, json.dumps(error))
            return await queue.complete(lease, json.dumps(result))

    assert asyncio.run(finish()) == "done"


@dataclass(frozen=True)
class AtWork:
    """A consumer at work; ``stop`` is what a signal sets."""

    consumer: Consumer
    stop: asyncio.Event
    end: Callable[[], Awaitable[None]]


@asynccontextmanager
async def working(
    redis_url: str,
    handler: Handler,
    concurrency: int = 1,
    lease_ms: int = 30_000,
    name: str = "worker-1",
    encryption: Encryption | None = None,
    **how: Any,
) -> AsyncIterator[AtWork]:
    """A consumer at work, and the way to stop it and wait for its end. ``how`` is for ``Consumer``."""
    async with aclosing(connect(redis_url)) as redis:
        queue = WorkQueue(redis, QUEUE, name, lease_ms)
        consumer = Consumer(queue, JobRun(queue, handler, encryption), concurrency, **how)
        stop = asyncio.Event()
        run = asyncio.create_task(consumer.run(stop))

        async def end() -> None:
            stop.set()
            while not run.done():
                _wake_idle_workers(redis_url)
                await asyncio.wait([run], timeout=0.05)
            await run

        try:
            yield AtWork(consumer, stop, end)
        finally:
            await end()


def _wake_idle_workers(redis_url: str) -> None:
    """End the wait of every blocked client, so that no test waits it out."""
    with contextlib.suppress(RedisError), Redis.from_url(redis_url, socket_timeout=1) as db:
        for client in db.client_list(_type="normal"):
            if "b" in client["flags"]:
                db.client_unblock(int(client["id"]))
