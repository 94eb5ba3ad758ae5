"""The names of everything in Redis, protocol version 1. ``docs/queue.md`` explains them to worker authors.

All keys of one queue share the hash tag ``{queue}``, so that one script may touch any of them in cluster mode.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from lambda_router_queue.models import Priority

#: What a queue may be called.
QUEUE_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
#: Consumer group that all workers of a queue claim through.
GROUP = "workers"

PRIORITIES: tuple[Priority, ...] = get_args(Priority)

#: Streams per priority. A caller's job joins a lane by how many open jobs the caller has (``lane_bound``), so its first
#: job never stands behind another caller's hundredth. ``make docs`` writes it into ``lua/record.lua``.
LANES = 4


def lane_bound(lane: int) -> int:
    """A caller with fewer open jobs than this joins that lane or one before it: 1, 4, 16 …; the last has no bound."""
    return int(4**lane)


@dataclass(frozen=True, eq=False)
class QueueKeys:
    """The keys of one queue."""

    queue: str

    @cached_property
    def _prefix(self) -> str:
        return f"lr:{{{self.queue}}}:"

    def stream(self, priority: Priority, lane: int) -> str:
        """Stream of waiting and leased jobs; each entry has ``id`` and ``job``, the envelope as JSON."""
        return f"{self._prefix}jobs:{priority}:{lane}"

    @cached_property
    def streams(self) -> list[str]:
        """All streams: the lanes of high, of normal, of low. Scripts and records name a stream by its place here."""
        return [self.stream(priority, lane) for priority in PRIORITIES for lane in range(LANES)]

    @cached_property
    def scheduled(self) -> str:
        """Sorted set: ids of delayed and retrying jobs by due time (ms); their records hold the envelopes."""
        return f"{self._prefix}scheduled"

    @cached_property
    def retrying(self) -> str:
        """Hash: envelopes of jobs that wait for another try, by id."""
        return f"{self._prefix}retrying"

    @cached_property
    def dead(self) -> str:
        """Stream of jobs given up on: ``id``, ``job``, ``code``, ``message``, ``attempts``, ``token``, ``at``."""
        return f"{self._prefix}dead"

    @cached_property
    def flow(self) -> str:
        """Hash of counters: jobs ``added`` to and ``left`` each line, final ones by status, service time, slots."""
        return f"{self._prefix}flow"

    @cached_property
    def workers(self) -> str:
        """Sorted set: ``<concurrency> <consumer>`` of each living worker by when it was last heard of.

        Behind a tab stands why it claims nothing, if it does not.
        """
        return f"{self._prefix}workers"

    def job(self, job_id: str) -> str:
        """Hash: the job's record."""
        return f"{self._prefix}job:{job_id}"

    def handover(self, job_id: str) -> str:
        """String: nonce of whoever read the result of a job that is not kept, and that result, for 2 s."""
        return f"{self._prefix}handover:{job_id}"

    def owner(self, owner: str) -> str:
        """Sorted set: the caller's jobs by creation time."""
        return f"{self._prefix}owner:{owner}"

    def open_jobs(self, owner: str) -> str:
        """Sorted set: the caller's unfinished jobs by when they expire or, once begun, their records end."""
        return f"{self._prefix}open:{owner}"

    def stored_bytes(self, owner: str) -> str:
        """Hash: bytes stored for the caller, in all and by when they are gone; the queue's own are in ``flow``."""
        return f"{self._prefix}bytes:{owner}"

    def rate(self, owner: str) -> str:
        """String: the caller's theoretical arrival time (GCRA), milliseconds."""
        return f"{self._prefix}rate:{owner}"

    @cached_property
    def waits(self) -> str:
        """Sorted set: requests that are held until a job is final, by when each counts no more (ms).

        Of all callers and all queues, under the first queue's name in alphabetical order.
        """
        return f"{self._prefix}waits"

    def callers_waits(self, owner: str) -> str:
        """Sorted set: the same of one caller."""
        return f"{self._prefix}waits:{owner}"

    def idempotency(self, owner: str, key: str) -> str:
        """String: id of the job first sent with this key, and its fingerprint."""
        return f"{self._prefix}idem:{owner}:{key}"
