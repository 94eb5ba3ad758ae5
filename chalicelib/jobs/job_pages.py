"""A caller's list of jobs, newest first: its pages, and where they go on, as an opaque cursor over (created at, id)."""

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

#: A page looks at no more jobs than this, however few match its ``status``.
MAX_SCANNED_JOBS = 500
#: Nor does it hold more bytes of results than this, unless they are one job's: Lambda passes 6 MB back, and a page of
#: the longest errors has 3 MB, with all escapes that they may need.
MAX_RESULT_BYTES = 512 * 1024
#: Rows read at a time over all lists.
MAX_ROWS = 4_000
#: Nor does it ask Redis more often, whatever stands in the lists.
MAX_ROUND_TRIPS = 10

_LOWEST = "job_" + "0" * 32
#: Milliseconds up to the year 5138. No job is later, whatever somebody wrote into a list.
_LATEST = 10**14 - 1
_SCORE = re.compile(r"[0-9]{1,14}", re.ASCII)
_CURSOR = re.compile(r"(\d{1,15}):(job_[0-9a-f]{32})", re.ASCII)


class Cursor(NamedTuple):
    """A job's place in its caller's list: milliseconds since 1970, and its id."""

    created_at: int
    job_id: str

    @classmethod
    def before(cls, milliseconds: int) -> Self:
        """A place before all jobs of that millisecond, and behind all later ones."""
        return cls(milliseconds + 1, _LOWEST)

    @property
    def newest_left(self) -> int:
        """The latest creation time that a job behind this place can have."""
        return self.created_at - (self.job_id == _LOWEST)

    def encode(self) -> str:
        return base64.urlsafe_b64encode(f"{self.created_at}:{self.job_id}".encode()).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """Raises MalformedRequest for anything that ``encode`` did not write."""
        try:
            match = _CURSOR.fullmatch(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", True).decode("ascii"))
        except (binascii.Error, ValueError):
            match = None
        cursor = cls(int(match[1]), match[2]) if match else None
        if cursor is None or cursor.encode() != text:
            raise MalformedRequest(
                "cursor is not one that this API gave out; leave it away to start with the newest job."
            )
        return cursor


class Place(NamedTuple):
    """A cursor and the queue that its job is in."""

    cursor: Cursor
    queue: QueueKeys


class Page(NamedTuple):
    """Some of a caller's jobs, newest first.

    Attributes:
        after: where the next page starts; None: there is none.
        stopped_early: it ended before it was full, though there may be more.
    """

    jobs: list[Job]
    after: Cursor | None
    stopped_early: bool


#: Jobs and the bytes of their results, in order of their places; a queue's may end early.
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
        """Jobs that there is room for."""
        return self._limit - len(self._jobs)

    @property
    def still_scanned(self) -> int:
        """Jobs that may be looked at."""
        return MAX_SCANNED_JOBS - self._scanned

    @property
    def is_full(self) -> bool:
        """Nothing more is to be looked at."""
        return self._has_no_room or not self.missing or not self.still_scanned

    def taken(self, places: Sequence[Place], looked: Looked) -> Iterator[Place]:
        """Take the jobs in as far as they fit; the places of those, and of what is no job of this list."""
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
    """A caller's list in one queue, as far as it was read: what was read and not taken yet."""

    def __init__(self, queue: QueueKeys, owner: str, after: Cursor | None) -> None:
        self.key = queue.owner(owner)
        self.queue = queue
        self.cursors: deque[Cursor] = deque()
        self.has_ended = False
        self._after = after
        self._score = str(_LATEST if after is None else after.newest_left)
        self._seen_there = 0

    def command(self, count: int) -> Sequence[Argument]:
        """The command for the next rows. Jobs of one millisecond sort by id."""
        where = (self.key, self._score, 0, "BYSCORE", "REV", "LIMIT", self._seen_there, count)
        return "ZRANGE", *where, "WITHSCORES"

    def take_in(self, rows: Sequence[str], count: int) -> int:
        """The rows that came, of ``count`` at most; the number of those that admission did not write."""
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
        """A cursor before all that is left, as near as one can be; None where nothing is."""
        if self.cursors:
            return Cursor.before(self.cursors[0].created_at)
        return None if self.has_ended else Cursor.before(int(float(self._score)))


class Scan:
    """A caller's jobs over all queues, newest first, as far as they were read. It asks nothing by itself."""

    def __init__(self, queues: Iterable[QueueKeys], owner: str, after: Cursor | None) -> None:
        self._lists = {queue: _List(queue, owner, after) for queue in queues}
        self._start = self._last = after
        self._wanting: list[_List] = []
        self._count = 0
        self.odd_entries = 0

    def commands(self, wanted: int) -> list[Sequence[Argument]]:
        """The commands to send before more places are known; none where some are, or all lists have ended."""
        unread = self._unread()
        if all(each.cursors for each in unread):
            return []
        self._count = 1 + min(wanted, MAX_ROWS // len(self._lists))
        self._wanting = [each for each in unread if len(each.cursors) < self._count]
        return [each.command(self._count) for each in self._wanting]

    def take_in(self, replies: Iterable[Sequence[str]]) -> None:
        """The replies to those commands."""
        for each, rows in zip(self._wanting, replies, strict=True):
            self.odd_entries += each.take_in(rows, self._count)

    def places(self, most: int) -> list[Place]:
        """The next places; none while a list may have newer ones that were not read."""
        unread = self._unread()
        if not all(each.cursors for each in unread):
            return []
        known_down_to = max((each.cursors[-1] for each in unread), default=None)
        places = [Place(cursor, each.queue) for each in self._lists.values() for cursor in each.cursors]
        places.sort(key=lambda place: place.cursor, reverse=True)
        return [place for place in places[:most] if known_down_to is None or place.cursor >= known_down_to]

    def pass_over(self, place: Place) -> None:
        """Go on behind this place, which is the first one left."""
        self._last = self._lists[place.queue].cursors.popleft()

    def _unread(self) -> list[_List]:
        return [each for each in self._lists.values() if not each.has_ended]

    def after(self) -> Cursor | None:
        """Where to go on; None where nothing is left."""
        lefts = [left for each in self._lists.values() if (left := each.left())]
        if not lefts:
            return None
        nearest = max(lefts) if self._last is None else min(self._last, max(lefts))
        if nearest == self._start:  # one millisecond has more odd entries than one page can pass over: leave it out
            return Cursor(nearest.newest_left, _LOWEST)
        return nearest


def _cursor(score: str, job_id: str) -> Cursor | None:
    """None for an entry that admission did not write."""
    return Cursor(int(score), job_id) if _SCORE.fullmatch(score) and JOB_ID.fullmatch(job_id) else None
