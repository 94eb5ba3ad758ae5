"""When this worker moves delayed jobs and retries into line: at the times at which they are due, as far as known."""

import asyncio
import random
import time
from collections.abc import Iterable
from contextlib import suppress

#: How often a worker that does not know the soonest due times looks for jobs that are due.
LOOK_EVERY_SECONDS = 0.5
#: Least time between two looks, so that many workers and many delayed jobs do not keep Redis busy.
LEAST_SECONDS = 0.25
#: Redis counts whole milliseconds, and a look before the time finds nothing.
_LATE_SECONDS = 0.002
#: All idle workers know the same times. The first of them moves the jobs; the others are to find that done.
_SPREAD_SECONDS = 0.02
#: How late the next pass of an idle worker may come before this one looks without it.
_SLACK_SECONDS = 0.5


class DueJobs:
    """The times at which delayed jobs are due, as far as this worker knows them, and its next look.

    Args:
        look_every: seconds between two looks of a worker that does not know the soonest times.
        least: least number of seconds between two looks.
    """

    def __init__(self, look_every: float = LOOK_EVERY_SECONDS, least: float = LEAST_SECONDS) -> None:
        self._look_every = look_every
        self._least = least
        self._times: list[float] = []
        self._known_until = 0.0
        self._changed = asyncio.Event()

    def are(self, in_ms: Iterable[int], for_seconds: float) -> None:
        """Note all that are due within that time. The worker will know more before it is over."""
        now = time.monotonic()
        self._times = sorted(now + ms / 1000 + _LATE_SECONDS for ms in in_ms)
        self._known_until = now + for_seconds + _SLACK_SECONDS
        self._changed.set()

    def add(self, in_ms: int) -> None:
        """Note one that this worker has just delayed."""
        self._times = sorted([*self._times, time.monotonic() + in_ms / 1000 + _LATE_SECONDS])
        self._changed.set()

    def are_unknown(self) -> None:
        """Note that the worker is busy, and will not learn of others."""
        self._known_until = min(self._known_until, time.monotonic() + self._look_every)
        self._changed.set()

    async def until_look(self, *, rests: bool = False) -> None:
        """Wait for the next look. The one before it has just been made.

        Args:
            rests: this worker claims nothing for now. It looks half as often: workers that claim look for themselves.
        """
        jitter = random.uniform(0.8, 1.2)  # noqa: S311 (no secret; workers do not look in step)
        now = time.monotonic()
        least, most = now + self._least * jitter, now + self._look_every * jitter * (1 + rests)
        late = random.uniform(0.0, _SPREAD_SECONDS)  # noqa: S311
        while (left := self._next(least, most, late) - time.monotonic()) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()
        now = time.monotonic()
        self._times = [each for each in self._times if each > now]

    def _next(self, least: float, most: float, late: float) -> float:
        unknown = max(most, self._known_until)
        return max(least, min(self._times[0] + late, unknown) if self._times else unknown)
