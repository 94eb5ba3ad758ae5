"""The names of all keys in Redis, protocol version 1. ``docs/queue.md`` explains them to worker authors.

All keys of one queue share the hash tag ``{queue}``, so that one script may use any of them in cluster mode.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from lambda_router_queue.models import Priority

#: Valid names of a queue.
QUEUE_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
#: Consumer group through which all workers of a queue claim jobs.
GROUP = "workers"

PRIORITIES: tuple[Priority, ...] = get_args(Priority)

#: Streams per priority. The number of a caller's open jobs decides which lane its next job joins (``lane_bound``), so
#: its first job never waits behind another caller's hundredth. ``make docs`` writes this into ``lua/record.lua``.
LANES = 4


def lane_bound(lane: int) -> int:
    """Return the bound of a lane: 1, 4, 16 …

    A caller with fewer open jobs joins that lane or an earlier one. The last lane has no bound.
    """
    return int(4**lane)


@dataclass(frozen=True, eq=False)
class QueueKeys:
    """The keys of one queue."""

    queue: str

    @cached_property
    def tag(self) -> str:
        """The first digits of the ids of its jobs, so that a reader of an id looks into this queue first."""
        return hashlib.sha256(self.queue.encode()).hexdigest()[:4]

    @cached_property
    def _prefix(self) -> str:
        return f"lr:{{{self.queue}}}:"

    def stream(self, priority: Priority, lane: int) -> str:
        """Stream of waiting and leased jobs; each entry has ``id`` and ``job``, the envelope as JSON."""
        return f"{self._prefix}jobs:{priority}:{lane}"

    @cached_property
    def streams(self) -> list[str]:
        """All streams: the lanes of high, of normal, of low. Scripts and records name a stream by its index here."""
        return [self.stream(priority, lane) for priority in PRIORITIES for lane in range(LANES)]

    @cached_property
    def scheduled(self) -> str:
        """Sorted set: ids of delayed and retrying jobs by due time (ms); their records contain the envelopes."""
        return f"{self._prefix}scheduled"

    @cached_property
    def retrying(self) -> str:
        """Hash: envelopes of jobs that wait for a retry, by id."""
        return f"{self._prefix}retrying"

    @cached_property
    def dead(self) -> str:
        """Stream of dead letters: ``id``, ``job``, ``code``, ``message``, ``attempts``, ``token``, ``at``."""
        return f"{self._prefix}dead"

    @cached_property
    def flow(self) -> str:
        """Hash: jobs ``added`` to each line, jobs that ``left`` it, jobs by final state, service time, concurrency."""
        return f"{self._prefix}flow"

    @cached_property
    def workers(self) -> str:
        """Sorted set: ``<concurrency> <consumer>`` of each living worker by the time of its last beat.

        If the worker claims no jobs, the reason follows after a tab.
        """
        return f"{self._prefix}workers"

    def job(self, job_id: str) -> str:
        """Hash: the job's record."""
        return f"{self._prefix}job:{job_id}"

    def handover(self, job_id: str) -> str:
        """String: a result that is not kept, for 2 s after it was read, in case the reply was lost; and a nonce."""
        return f"{self._prefix}handover:{job_id}"

    def events(self, job_id: str) -> str:
        """Stream: the job's live output, by ``<token>-<number of the piece>``.

        Entries are ``delta``; ``restarted``, the mark of an attempt that voids an earlier one's output; and ``end``.
        """
        return f"{self._prefix}events:{job_id}"

    def owner(self, owner: str) -> str:
        """Sorted set: the caller's jobs by creation time."""
        return f"{self._prefix}owner:{owner}"

    def open_jobs(self, owner: str) -> str:
        """Sorted set: the caller's open jobs by the time when each expires; once started, when its record expires."""
        return f"{self._prefix}open:{owner}"

    def stored_bytes(self, owner: str) -> str:
        """Hash: bytes stored for the caller, in total and by release time; the queue's sums are in ``flow``."""
        return f"{self._prefix}bytes:{owner}"

    def rate(self, owner: str) -> str:
        """String: the time (ms) until which the caller's rate is used up: GCRA's theoretical arrival time."""
        return f"{self._prefix}rate:{owner}"

    @cached_property
    def waits(self) -> str:
        """Sorted set: requests held until a job is final, by the time (ms) when each place expires.

        One set for all callers and all queues, under the name of the first queue in alphabetical order.
        """
        return f"{self._prefix}waits"

    def callers_waits(self, owner: str) -> str:
        """Sorted set: the same for one caller."""
        return f"{self._prefix}waits:{owner}"

    @cached_property
    def streams_held(self) -> str:
        """Sorted set: the same as ``waits``, for the OpenAI API where another function streams its responses."""
        return f"{self._prefix}streams"

    def callers_streams_held(self, owner: str) -> str:
        """Sorted set: the same for one caller."""
        return f"{self._prefix}streams:{owner}"

    def idempotency(self, owner: str, key: str) -> str:
        """String: id of the job first sent with this key, and a fingerprint of its request."""
        return f"{self._prefix}idem:{owner}:{key}"

    def tries(self, owner: str, digest: str) -> str:
        """String: jobs that a request and its automatic repeats stored or found; kept for two minutes."""
        return f"{self._prefix}tries:{owner}:{digest}"
