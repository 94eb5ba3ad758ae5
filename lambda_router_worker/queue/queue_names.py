"""Which queues there are in a Redis: for operators who misspelt one."""

import asyncio
from contextlib import suppress

from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_queue.redis.wire import Refused
from lambda_router_worker.queue.connection import Connection
from lambda_router_worker.terminal import visible

#: However many keys Redis holds, the names found by then have to do, and so many are enough.
LOOK_SECONDS = 3.0
MOST_NAMES = 20


class UnusedQueue(Exception):
    """Neither a router nor a worker has used this queue; the message says which there are."""

    def __init__(self, queue: str, names: list[str]) -> None:
        seen = f"found {visible(', '.join(names))}" if names else "found no queue in this Redis"
        super().__init__(f"Nobody has used a queue {queue!r} yet; {seen}. Look at --queue and at REDIS_URL.")


async def refuse_unused(redis: Connection, queue: str) -> None:
    """Raises UnusedQueue; RedisTrouble or OSError where Redis does not answer."""
    keys = QueueKeys(queue)
    if not await redis.execute("EXISTS", keys.flow, keys.scheduled, keys.dead, *keys.streams):
        raise UnusedQueue(queue, await _names(redis))


async def _names(redis: Connection) -> list[str]:
    names: set[str] = set()
    with suppress(TimeoutError, Refused):  # a user without +scan is not told
        async with asyncio.timeout(LOOK_SECONDS):
            async for key in redis.keys_like(QueueKeys("*").flow):
                names.add(key.partition("{")[2].partition("}")[0])
                if len(names) == MOST_NAMES:
                    break
    return sorted(names)
