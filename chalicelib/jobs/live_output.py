"""The live output of jobs: what their workers have emitted so far, read while the jobs run and for a while after."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pydantic_core import from_json

from chalicelib.jobs.job_queue import JobQueue, keys_at_hand
from chalicelib.jobs.job_records import Record, opened
from chalicelib.jobs.redis_client import RedisClient
from chalicelib.observability import log
from lambda_router_queue import deadlines
from lambda_router_queue.encryption.sealing import CannotDecrypt, Place, Sealer, event_part
from lambda_router_queue.models import FINAL_STATUSES, Job

#: The longest that Redis is asked to wait for output. A job that emits nothing is looked at as often.
LISTEN_SECONDS = 1.0
_FIRST_PAUSE_SECONDS, _LONGER = 0.05, 1.5

#: Time limit of one attempt to listen, and of a call with both attempts.
LISTEN_ATTEMPT_SECONDS, LISTEN_CALL_SECONDS = LISTEN_SECONDS + 0.7, 2 * LISTEN_SECONDS + 1.5

#: Entries of one read: of at most 64 KiB of text each, as workers write them.
_AT_ONCE = 64

#: Largest entry that is read. Escaped and encrypted, those 64 KiB may become 400. No page with one of some megabytes
#: would come through Lambda, so its reader would never get beyond it.
MAX_ENTRY_BYTES = 512 * 1024

#: An id in the log. Redis's numbers have 64 bits.
EVENT_ID = re.compile(r"(\d{1,19})-(\d{1,19})", re.ASCII)


class Emitted(NamedTuple):
    """An entry of a job's log.

    Attributes:
        id: its place in the log, ``<token>-<number>``: text that grows, and is the same at every read.
        delta: what the worker emitted: an object with ``text``, ``reasoning`` or ``tool_call``, or one of the handler's
            own. None for the mark of an attempt that began after another had emitted: what was read so far is void.
        size: bytes in Redis.
    """

    id: str
    delta: Mapping[str, Any] | None
    size: int = 0


class Read(NamedTuple):
    """Entries that were read.

    Attributes:
        after: the id behind which to read on.
        is_over: the attempt has ended.
    """

    entries: list[Emitted]
    after: str
    is_over: bool


class FollowsJobs(Protocol):
    """A reader of live output."""

    def follow(self, owner: str, job_id: str, after: str, ends: float) -> Iterator[Emitted | Record | None]:
        """Yield each entry behind ``after``, as it comes, and at the end the record of the final job, with its result.

        Yield None whenever nothing came for about a second. Without a record at the end, the time was up or there is no
        such job. A result that is not kept stays there, for the caller to take.

        Args:
            after: the id of an entry, or empty for the whole log.
            ends: by the monotonic clock.

        Raises QueueUnavailable, EncryptionUnavailable.
        """
        ...

    def read(self, job: Job, owner: str, after: str, seconds: float) -> Read:
        """Return up to 64 entries behind ``after``.

        Args:
            seconds: how long to wait for the first one, at most LISTEN_SECONDS; 0 not to wait.
        """
        ...

    def close(self) -> None:
        """Close the connections."""


class LiveOutput:
    """The logs of all jobs.

    Args:
        redis: with connections of their own, on which Redis may be silent for LISTEN_SECONDS.
    """

    def __init__(self, queue: JobQueue, redis: RedisClient, sealer: Sealer | None) -> None:
        self._queue = queue
        self._redis = redis
        self._sealer = sealer

    def follow(self, owner: str, job_id: str, after: str, ends: float) -> Iterator[Emitted | Record | None]:
        """Follow a job; see ``FollowsJobs``."""
        pause = _FIRST_PAUSE_SECONDS
        while record := self._queue.record(owner, job_id, "look"):
            is_final = record.job.status in FINAL_STATUSES
            while True:
                deadlines.renew(deadlines.REQUEST_SECONDS)
                left = max(0.0, min(pause, ends - time.monotonic()))
                read = self.read(record.job, owner, after, 0 if is_final else left)
                yield from read.entries
                has_read_all, after = read.after == after, read.after
                if read.is_over or has_read_all:
                    break
            if is_final:
                deadlines.renew(deadlines.REQUEST_SECONDS)
                yield self._queue.record(owner, job_id, "peek")
                return
            if time.monotonic() >= ends:
                return
            if not read.is_over:
                yield None
                pause = min(pause * _LONGER, LISTEN_SECONDS)

    def close(self) -> None:
        """Close the connections; the next read opens a new one."""
        self._redis.close()

    def read(self, job: Job, owner: str, after: str, seconds: float) -> Read:
        """Read a part of a log; see ``FollowsJobs``."""
        key = self._queue.keys(job.queue).events(job.id)
        wait = ("BLOCK", max(1, round(seconds * 1000))) if seconds > 0 else ()
        reply = self._redis.execute("XREAD", "COUNT", _AT_ONCE, *wait, "STREAMS", key, after or "0-0")
        rows: Sequence[Any] = reply[0][1] if reply else ()
        entries: list[Emitted] = []
        is_over = False
        for entry_id, fields in rows:
            is_over = fields[0] == "end"
            if not is_over:
                entries += self._parsed(job, owner, after, entry_id, fields)
            after = entry_id
        return Read(entries, after, is_over)

    def _parsed(self, job: Job, owner: str, after: str, entry_id: str, fields: Sequence[str]) -> Iterator[Emitted]:
        """Yield the entry; before it a mark, if it is of another attempt than the one before it."""
        token, _, number = entry_id.partition("-")
        is_mark = fields[0] == "restarted"
        if is_mark or (after and after.partition("-")[0] != token):
            yield Emitted(entry_id if is_mark else f"{token}-0", None)
        if fields[0] != "delta":
            return
        try:
            _require_readable(fields[1])
            place = Place(job.queue, job.id, owner, event_part(token, number))
            with keys_at_hand():
                delta = from_json(opened(fields[1], place, self._sealer).encode(), allow_inf_nan=False)
        except (CannotDecrypt, ValueError) as error:  # no worker of ours wrote it
            log.error("unreadable_output", extra={"job_id": job.id, "error": type(error).__name__})
            return
        if isinstance(delta, dict):
            yield Emitted(entry_id, delta, len(fields[1].encode()))


def _require_readable(text: str) -> None:
    """Raise ValueError for a text that is not UTF-8, or too large."""
    if len(text.encode()) > MAX_ENTRY_BYTES:
        raise ValueError("too large")
