"""The worker's watch over ``maxmemory-policy``, which may let Redis delete jobs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from lambda_router_queue.eviction import LOOK, SAFE, evicting, is_forbidden
from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_queue.redis.wire import Refused
from lambda_router_worker.queue.connection import REDIS_TROUBLE, Connection, run_script
from lambda_router_worker.worker_log import log

LOOK_EVERY_SECONDS = 60.0

_EVICTS = f"Redis deletes jobs when its memory is full; set its maxmemory-policy to {SAFE}."
_UNKNOWN = "Redis does not let this user read its maxmemory-policy; allow the user +info."


class MayNotLook(Exception):
    """This Redis user has no permission to call INFO."""


async def evicts(redis: Connection, queue: str) -> str | None:
    """Return the ``maxmemory-policy`` if it deletes keys when memory is full, such as ``allkeys-lru``; else None.

    Raises:
        MayNotLook: the user lacks ``+info``.
        RedisTrouble, OSError: Redis does not reply.
    """
    try:
        return evicting(str(await run_script(redis, LOOK, [QueueKeys(queue).flow], [])))
    except Refused as error:
        if not is_forbidden(error):
            raise
        raise MayNotLook from error


@dataclass
class Seen:
    """The problem that the newest check found, on one line; empty for none."""

    reason: str = ""


@asynccontextmanager
async def watched(redis: Connection, queue: str, every_seconds: float = LOOK_EVERY_SECONDS) -> AsyncIterator[Seen]:
    """Check every minute while the block runs, and warn each time that Redis may delete jobs."""
    seen = Seen()
    task = asyncio.create_task(_watch(redis, queue, every_seconds, seen))
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(redis: Connection, queue: str, every_seconds: float, seen: Seen) -> None:
    try:
        while True:
            with suppress(*REDIS_TROUBLE):  # the claiming loop logs it
                policy = await evicts(redis, queue)
                seen.reason = f"maxmemory-policy is {policy}: {_EVICTS}" if policy else ""
                if policy:
                    log.warning("eviction", extra={"policy": policy, "explanation": _EVICTS})
            await asyncio.sleep(every_seconds)
    except MayNotLook:  # warned once, since no problem is known
        log.warning("eviction", extra={"policy": "unknown", "explanation": _UNKNOWN})
