"""The names of everything in Redis, protocol version 1. ``docs/queue.md`` explains them to worker authors.

All keys of one queue share the hash tag ``{queue}``, so that one script may touch any of them in cluster mode.
"""

from dataclasses import dataclass
from typing import get_args

from chalicelib.models import Priority

#: Consumer group that all workers of a queue claim through.
GROUP = "workers"

PRIORITIES: tuple[Priority, ...] = get_args(Priority)


@dataclass(frozen=True)
class QueueKeys:
    """The keys of one queue."""

    queue: str

    def _key(self, *parts: str) -> str:
        return ":".join((f"lr:{{{self.queue}}}", *parts))

    def stream(self, priority: Priority) -> str:
        """Stream of waiting and leased jobs; each entry has ``id`` and ``job``, the envelope as JSON."""
        return self._key("jobs", priority)

    @property
    def streams(self) -> list[str]:
        """All streams, in the order in which they are claimed."""
        return [self.stream(priority) for priority in PRIORITIES]

    def job(self, job_id: str) -> str:
        """Hash: the job's record."""
        return self._key("job", job_id)

    def owner(self, owner: str) -> str:
        """Sorted set: the caller's jobs by creation time."""
        return self._key("owner", owner)

    def open_jobs(self, owner: str) -> str:
        """Sorted set: the caller's unfinished jobs by the time at which they stop counting on their own."""
        return self._key("open", owner)

    def rate(self, owner: str) -> str:
        """String: the caller's theoretical arrival time (GCRA), milliseconds."""
        return self._key("rate", owner)

    def idempotency(self, owner: str, key: str) -> str:
        """String: id of the job first sent with this key, and its fingerprint."""
        return self._key("idem", owner, key)
