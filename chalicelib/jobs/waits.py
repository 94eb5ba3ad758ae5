"""Requests that the function holds until a job is final.

Each of them occupies one Lambda environment, so their number is limited, per caller and for all callers together. Those
whose response is sent piece by piece occupy another function's, and are counted apart.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from chalicelib.errors import Problem
from chalicelib.jobs import LUA
from chalicelib.jobs.job_records import Record
from chalicelib.jobs.redis_client import RedisClient
from chalicelib.limits import MAX_HOLD_SECONDS, MAX_STREAM_SECONDS
from lambda_router_queue import deadlines, metrics
from lambda_router_queue.lua_scripts import load_script
from lambda_router_queue.metrics import Metric
from lambda_router_queue.models import FINAL_STATUSES
from lambda_router_queue.queue_keys import QueueKeys

_WAIT = load_script("wait", folder=LUA)

#: A place is kept this much longer than the wait: the last read of the job may take QUESTION_SECONDS.
_MARGIN_SECONDS = 3.0
#: Freeing a place delays the response by at most this. A place that is not freed expires.
_GIVE_BACK_SECONDS = 0.3
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5


class WaitCaps(NamedTuple):
    """The limits on requests held at once."""

    per_caller: int
    all_callers: int


class Hold(NamedTuple):
    """A place that a request has taken, until that time of the monotonic clock."""

    ends: float

    def until_final(self, look: Callable[[], Record]) -> Record:
        """Return the job's record once it is final or the time is up. Raises what ``look`` raises."""
        pause = _FIRST_PAUSE
        while True:
            time.sleep(max(0.0, min(pause, self.ends - time.monotonic())))
            deadlines.renew(deadlines.REQUEST_SECONDS)
            record = look()
            if record.job.status in FINAL_STATUSES or time.monotonic() >= self.ends:
                return record
            pause = min(pause * 1.5, _LONGEST_PAUSE)


class Waits:
    """The places for held requests.

    Args:
        queue: the queue that stores the places, whichever queue a job is in. All callers are counted together.
    """

    def __init__(self, redis: RedisClient, queue: QueueKeys, caps: WaitCaps) -> None:
        self._redis = redis
        self._queue = queue
        self._caps = caps

    def until_final(self, look: Callable[[], Record], owner: str, seconds: float) -> Record | None:
        """Return the record of the caller's job once it is final or the time is up; None, at once, if no place is free.

        Raises QueueUnavailable, and what ``look`` raises.
        """
        with self.place(owner, seconds) as hold:
            return hold.until_final(look) if hold else None

    @contextmanager
    def place(self, owner: str, seconds: float, *, streamed: bool = False) -> "Iterator[Hold | None]":
        """Take a place for so many seconds, and free it at the end. Yield None, at once, if none is free.

        Args:
            streamed: whether the place is one of those where responses are sent piece by piece.

        Raises QueueUnavailable.
        """
        hold = Hold(time.monotonic() + seconds)
        wait_id = secrets.token_hex(8)
        verdict = self.take(wait_id, owner, seconds, streamed=streamed)
        if verdict != "taken":
            metrics.add(Metric.WAITS_REFUSED, 1, verdict)
            yield None
            return
        try:
            yield hold
        finally:
            with suppress(Problem), deadlines.within(_GIVE_BACK_SECONDS):
                self.give_back(wait_id, owner, streamed=streamed)

    def take(self, wait_id: str, owner: str, seconds: float, *, streamed: bool = False) -> str:
        """Take a place. Return ``taken``, or whose places are all taken: ``caller`` or ``all``."""
        return self._run(wait_id, owner, "take", round((seconds + _MARGIN_SECONDS) * 1000), streamed)

    def give_back(self, wait_id: str, owner: str, *, streamed: bool = False) -> str:
        """Free the place for the next request. Always returns ``freed``."""
        return self._run(wait_id, owner, "free", 0, streamed)

    def _run(self, wait_id: str, owner: str, action: str, lease_ms: int, streamed: bool) -> str:
        queue = self._queue
        keys = [queue.waits, queue.callers_waits(owner)]
        longest_seconds = MAX_HOLD_SECONDS
        if streamed:
            keys, longest_seconds = [queue.streams_held, queue.callers_streams_held(owner)], MAX_STREAM_SECONDS
        longest_ms = round((longest_seconds + _MARGIN_SECONDS) * 1000)
        answer: str = self._redis.run(_WAIT, keys, [wait_id, action, lease_ms, longest_ms, *self._caps])
        return answer
