"""The lists of callers' job ids, kept at about what still lives.

A record expires by itself, its id in its caller's list does not. So one in 64 jobs, drawn by chance, has 256 entries
of its caller's list looked at, anywhere in it, and those whose records are gone are taken out. That is four looks for
each id that is added: where *L* records live, the list comes to rest at 4/3 *L* + 85 ids. Chance needs no memory of
callers and no place to go on from, so this holds for any number of callers and of workers, and whatever stands at a
list's head.
"""

import random
from collections import deque

from lambda_router_worker.queue.work_queue import WorkQueue

#: Of so many jobs one has its caller's list looked at.
JOBS_A_LOOK = 64
#: Entries looked at in one go.
WINDOW = 4 * JOBS_A_LOOK
#: Looks that may wait to be done; more come together only while Redis is away, and others will follow.
MAX_DUE = 1_000


class JobLists:
    """What a worker does about the lists of those whose jobs it meets.

    Args:
        rng: what chance is drawn from.
    """

    def __init__(self, queue: WorkQueue, rng: random.Random | None = None) -> None:
        self._queue = queue
        self._rng = rng or random.Random()  # noqa: S311 (no secret)
        self._due: deque[str] = deque(maxlen=MAX_DUE)

    def met(self, owner: str) -> None:
        """A job of that caller came in. Costs nothing now; ``trim`` does what falls due."""
        if self._rng.randrange(JOBS_A_LOOK) == 0:
            self._due.append(owner)

    async def trim(self) -> int:
        """Take out what is gone, wherever a look is due; how many ids. Raises one of REDIS_TROUBLE."""
        removed = 0
        while self._due:
            removed += await self._look(self._due.popleft())
        return removed

    async def _look(self, owner: str) -> int:
        """At a window that may reach over either end of the list, so that every entry is as likely to be in it."""
        length = await self._queue.listed(owner)
        first = self._rng.randrange(1 - WINDOW, max(1, length))
        return await self._queue.forget(owner, max(0, first), first + WINDOW - 1)
