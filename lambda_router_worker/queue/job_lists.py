"""Upkeep of the lists of callers' job ids, so that they grow little beyond the records that exist.

A record expires by itself, but its id in the caller's list does not. So one in 64 jobs, drawn at random, has 256
entries of its caller's list checked, at a random place. Ids whose records are gone are removed. That makes four checks
for each id that is added. For *L* existing records, the list settles at 4/3 *L* + 85 ids.

Random choice needs no memory of callers and no position to resume from. So this holds for any number of callers and
workers, and whatever stands at the head of a list.
"""

import random
from collections import deque

from lambda_router_worker.queue.work_queue import WorkQueue

#: One in this many jobs has its caller's list checked.
JOBS_A_LOOK = 64
#: Number of entries per check.
WINDOW = 4 * JOBS_A_LOOK
#: Maximum number of pending checks. Only a Redis outage lets more accumulate, and later jobs bring new ones.
MAX_DUE = 1_000


class JobLists:
    """Checks the lists of the callers whose jobs this worker meets.

    Args:
        rng: source of randomness.
    """

    def __init__(self, queue: WorkQueue, rng: random.Random | None = None) -> None:
        self._queue = queue
        self._rng = rng or random.Random()  # noqa: S311 (no secret)
        self._due: deque[str] = deque(maxlen=MAX_DUE)

    def met(self, owner: str) -> None:
        """Note a job of that caller. This costs nothing now: ``trim`` makes the checks that are due."""
        if self._rng.randrange(JOBS_A_LOOK) == 0:
            self._due.append(owner)

    async def trim(self) -> int:
        """Make the checks that are due, and return the number of ids removed. Raises one of REDIS_TROUBLE."""
        removed = 0
        while self._due:
            removed += await self._look(self._due.popleft())
        return removed

    async def _look(self, owner: str) -> int:
        """Check one window. It may extend past either end of the list, so that all entries are equally likely."""
        length = await self._queue.listed(owner)
        first = self._rng.randrange(1 - WINDOW, max(1, length))
        return await self._queue.forget(owner, max(0, first), first + WINDOW - 1)
