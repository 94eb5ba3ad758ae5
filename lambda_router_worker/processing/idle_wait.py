"""The wait for the next job. It lasts its full time even if Redis does not block."""

import asyncio
import time
from contextlib import suppress

from lambda_router_worker.queue.work_queue import Claim, WorkQueue
from lambda_router_worker.worker_log import log

#: Number of consecutive waits that end early and empty before a warning. CLIENT UNBLOCK may end a single one.
PROOFS = 3
#: The shortest wait. Redis would wait for ever where it is told to wait for 0 ms.
LEAST_MS = 10

_EXPLANATION = (
    "XREADGROUP BLOCK returns at once, without a job: what answers at REDIS_URL, perhaps a proxy, cannot block."
    " The worker asks once a second instead, so a job may wait that long; connect it to Redis itself."
)


class IdleWait:
    """Waits for the next job of a queue, any number of times."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue
        self._early = 0
        self._has_warned = False

    async def __call__(self, stop: asyncio.Event, wait_ms: int) -> list[Claim]:
        """Return the jobs that arrive within that time. If Redis returns early, a set ``stop`` ends the rest of it."""
        wait_ms = max(LEAST_MS, wait_ms)
        until = time.monotonic() + wait_ms / 1000
        claims = await self._queue.wait(wait_ms)
        left = until - time.monotonic()
        if claims or left < wait_ms / 2000:
            self._early = 0
            return claims
        self._early += 1
        if self._early == PROOFS and not self._has_warned:
            self._has_warned = True
            log.warning("idle", extra={"explanation": _EXPLANATION})
        with suppress(TimeoutError):
            async with asyncio.timeout(left):
                await stop.wait()
        return claims
