"""Names of the queues in a Redis, for operators who misspelt one."""

import asyncio
from contextlib import suppress

from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_queue.redis.wire import Refused
from lambda_router_worker.queue.connection import Connection
from lambda_router_worker.terminal import visible

#: The search for names ends after this time, however many keys Redis holds, or after this many names.
LOOK_SECONDS = 3.0
MOST_NAMES = 20


class UnusedQueue(Exception):
    """Neither a router nor a worker has used this queue. The message names the queues that exist."""

    def __init__(self, queue: str, names: list[str]) -> None:
        seen = f"found {visible(', '.join(names))}" if names else "found no queue in this Redis"
        super().__init__(f"Nobody has used a queue {queue!r} yet; {seen}. Look at --queue and at REDIS_URL.")


async def refuse_unused(redis: Connection, queue: str) -> None:
    """Raise UnusedQueue if the queue is unused. Raises RedisTrouble or OSError if Redis does not reply."""
    keys = QueueKeys(queue)
    if not await redis.execute("EXISTS", keys.flow, keys.scheduled, keys.dead, *keys.streams):
        raise UnusedQueue(queue, await _names(redis))


async def _names(redis: Connection) -> list[str]:
    names: set[str] = set()
    with suppress(TimeoutError, Refused):  # a user without +scan gets no names
        async with asyncio.timeout(LOOK_SECONDS):
            async for key in redis.keys_like(QueueKeys("*").flow):
                names.add(key.partition("{")[2].partition("}")[0])
                if len(names) == MOST_NAMES:
                    break
    return sorted(names)
