"""The wait for the next job. It lasts as long as it should even where Redis does not block."""

import asyncio
import time
from contextlib import suppress

from lambda_router_worker.queue.work_queue import Claim, WorkQueue
from lambda_router_worker.worker_log import log

#: So many waits in a row that ended early and empty are no chance: CLIENT UNBLOCK ends one, too.
PROOFS = 3

_EXPLANATION = (
    "XREADGROUP BLOCK is answered at once, without a job: what answers at REDIS_URL, perhaps a proxy, cannot block."
    " The worker asks once a second instead, so a job may wait that long; connect it to Redis itself."
)


class IdleWait:
    """Waits for a job of a queue, again and again.

    Args:
        wait_ms: how long at most.
    """

    def __init__(self, queue: WorkQueue, wait_ms: int) -> None:
        self._queue = queue
        self._wait_ms = wait_ms
        self._early = 0
        self._has_warned = False

    async def __call__(self, stop: asyncio.Event) -> list[Claim]:
        """What came within that time. A set ``stop`` cuts short what Redis left of it."""
        until = time.monotonic() + self._wait_ms / 1000
        claims = await self._queue.wait(self._wait_ms)
        left = until - time.monotonic()
        if claims or left < self._wait_ms / 2000:
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
