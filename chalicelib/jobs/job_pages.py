"""Pages of a caller's jobs, newest first, with an opaque cursor over (created at, id)."""

import base64
import binascii
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

from chalicelib.errors import MalformedRequest
from chalicelib.jobs.job_records import JOB_ID
from lambda_router_queue.models import Job
from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_queue.redis.wire import Argument

#: The most jobs that one page examines, however few match its ``status``.
MAX_SCANNED_JOBS = 500
#: The most bytes of results in one page, unless they are one job's. Lambda passes 6 MB back, and a page of the longest
#: errors has 3 MB, with all the escapes that they may need.
MAX_RESULT_BYTES = 512 * 1024
#: Rows read at a time, over all lists.
MAX_ROWS = 4_000
#: The most round trips to Redis for one page, whatever the lists contain.
MAX_ROUND_TRIPS = 10

_LOWEST = "job_" + "0" * 32
#: Milliseconds up to the year 5138. No job is later, whatever was written into a list.
_LATEST = 10**14 - 1
_SCORE = re.compile(r"[0-9]{1,14}", re.ASCII)
_CURSOR = re.compile(r"(\d{1,15}):(job_[0-9a-f]{32})", re.ASCII)


class Cursor(NamedTuple):
    """A job's place in its caller's list: milliseconds since 1970, and its id."""

    created_at: int
    job_id: str

    @classmethod
    def before(cls, milliseconds: int) -> Self:
        """Return a place before all jobs of that millisecond, and after all later ones."""
        return cls(milliseconds + 1, _LOWEST)

    @property
    def newest_left(self) -> int:
        """The latest creation time that a job after this place can have."""
        return self.created_at - (self.job_id == _LOWEST)

    def encode(self) -> str:
        return base64.urlsafe_b64encode(f"{self.created_at}:{self.job_id}".encode()).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Decode a cursor. Raises MalformedRequest for anything that ``encode`` did not write."""
        try:
            match = _CURSOR.fullmatch(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", True).decode("ascii"))
        except (binascii.Error, ValueError):
            match = None
        cursor = cls(int(match[1]), match[2]) if match else None
        if cursor is None or cursor.encode() != text:
            raise MalformedRequest("cursor was not issued by this API; omit it to start with the newest job.")
        return cursor


class Place(NamedTuple):
    """A cursor and the queue of its job."""

    cursor: Cursor
    queue: QueueKeys


class Page(NamedTuple):
    """Some of a caller's jobs, newest first.

    Attributes:
        after: where the next page starts; None if there is none.
        stopped_early: the page ended before it was full, though there may be more jobs.
    """

    jobs: list[Job]
    after: Cursor | None
    stopped_early: bool


#: Jobs and the bytes of their results, in the order of their places; a queue's may end early.
type Looked = dict[QueueKeys, deque[tuple[Job | None, int]]]


class Filling:
    """A page that is being filled."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._jobs: list[Job] = []
        self._bytes = self._scanned = 0
        self._has_no_room = False

    @property
    def missing(self) -> int:
        """The number of jobs that still fit."""
        return self._limit - len(self._jobs)

    @property
    def scans_left(self) -> int:
        """The number of jobs that may still be examined."""
        return MAX_SCANNED_JOBS - self._scanned

    @property
    def is_full(self) -> bool:
        """True once no more jobs are to be examined."""
        return self._has_no_room or not self.missing or not self.scans_left

    def taken(self, places: Sequence[Place], looked: Looked) -> Iterator[Place]:
        """Add the jobs that fit. Yield their places, and those of entries that are not jobs of this list."""
        for place in places:
            if not self.missing:
                return
            here = looked[place.queue]
            if not here or (self._jobs and self._bytes + here[0][1] > MAX_RESULT_BYTES):
                self._has_no_room = True
                return
            job, size = here.popleft()
            self._bytes += size
            self._scanned += 1
            if job is not None:
                self._jobs.append(job)
            yield place

    def whole(self, after: Cursor | None) -> Page:
        return Page(self._jobs, after, stopped_early=after is not None and self.missing > 0)


class _List:
    """A caller's list in one queue, as far as it was read: the entries that are not used yet."""

    def __init__(self, queue: QueueKeys, owner: str, after: Cursor | None) -> None:
        self.key = queue.owner(owner)
        self.queue = queue
        self.cursors: deque[Cursor] = deque()
        self.has_ended = False
        self._after = after
        self._score = str(_LATEST if after is None else after.newest_left)
        self._seen_there = 0

    def command(self, count: int) -> Sequence[Argument]:
        """Return the command for the next rows. Jobs of the same millisecond are sorted by id."""
        where = (self.key, self._score, 0, "BYSCORE", "REV", "LIMIT", self._seen_there, count)
        return "ZRANGE", *where, "WITHSCORES"

    def take_in(self, rows: Sequence[str], count: int) -> int:
        """Add the rows received, at most ``count``. Return how many of them admission did not write."""
        ids, scores = rows[::2], rows[1::2]
        cursors = [_cursor(score, job_id) for job_id, score in zip(ids, scores, strict=True)]
        self.cursors += [each for each in cursors if each is not None and (self._after is None or each < self._after)]
        self.has_ended = len(ids) < count
        if scores:
            seen_there = scores.count(scores[-1])
            self._seen_there = seen_there + (self._seen_there if scores[-1] == self._score else 0)
            self._score = scores[-1]
        return cursors.count(None)

    def left(self) -> Cursor | None:
        """Return a cursor just before all entries that are left, as close as possible; None if none are left."""
        if self.cursors:
            return Cursor.before(self.cursors[0].created_at)
        return None if self.has_ended else Cursor.before(int(float(self._score)))


class Scan:
    """A caller's jobs over all queues, newest first, as far as they were read. It does no I/O."""

    def __init__(self, queues: Iterable[QueueKeys], owner: str, after: Cursor | None) -> None:
        self._lists = {queue: _List(queue, owner, after) for queue in queues}
        self._start = self._last = after
        self._wanting: list[_List] = []
        self._count = 0
        self.odd_entries = 0

    def commands(self, wanted: int) -> list[Sequence[Argument]]:
        """Return the commands that find more places; none if some places are known or all lists have ended."""
        unread = self._unread()
        if all(each.cursors for each in unread):
            return []
        self._count = 1 + min(wanted, MAX_ROWS // len(self._lists))
        self._wanting = [each for each in unread if len(each.cursors) < self._count]
        return [each.command(self._count) for each in self._wanting]

    def take_in(self, replies: Iterable[Sequence[str]]) -> None:
        """Add the replies to those commands."""
        for each, rows in zip(self._wanting, replies, strict=True):
            self.odd_entries += each.take_in(rows, self._count)

    def places(self, most: int) -> list[Place]:
        """Return the next places; none while a list may have newer ones that were not read."""
        unread = self._unread()
        if not all(each.cursors for each in unread):
            return []
        known_down_to = max((each.cursors[-1] for each in unread), default=None)
        places = [Place(cursor, each.queue) for each in self._lists.values() for cursor in each.cursors]
        places.sort(key=lambda place: place.cursor, reverse=True)
        return [place for place in places[:most] if known_down_to is None or place.cursor >= known_down_to]

    def pass_over(self, place: Place) -> None:
        """Continue after this place, which must be the first one left."""
        self._last = self._lists[place.queue].cursors.popleft()

    def _unread(self) -> list[_List]:
        return [each for each in self._lists.values() if not each.has_ended]

    def after(self) -> Cursor | None:
        """Return where to continue; None if nothing is left."""
        lefts = [left for each in self._lists.values() if (left := each.left())]
        if not lefts:
            return None
        nearest = max(lefts) if self._last is None else min(self._last, max(lefts))
        if nearest == self._start:  # one millisecond has more odd entries than one page can pass over: skip it
            return Cursor(nearest.newest_left, _LOWEST)
        return nearest


def _cursor(score: str, job_id: str) -> Cursor | None:
    """Return an entry's cursor; None if admission did not write the entry."""
    return Cursor(int(score), job_id) if _SCORE.fullmatch(score) and JOB_ID.fullmatch(job_id) else None
