"""Faults on the way of an answer: one is overcome, a second one soon after it without any progress is not."""

import time

from lambda_router.calling.job_ids import response_of
from lambda_router.calling.refusals import CallRefused
from lambda_router.errors import KitError, ServerAway

_PAUSE_SECONDS = 1.0
#: A fault that long after the last one is a first one: a job may wait in line for hours.
_SOON_SECONDS = 60.0


class FaultCount:
    """Faults since the last progress."""

    def __init__(self) -> None:
        self._has_failed = False
        self._failed_at = 0.0

    def clear(self) -> None:
        """Forget the last fault."""
        self._has_failed = False

    def add(self, error: KitError) -> None:
        """Wait for a moment at the first fault. Raises the error if it is the second one, or will not pass."""
        now = time.monotonic()
        is_second = self._has_failed and now - self._failed_at < _SOON_SECONDS
        passes = error.is_passing if isinstance(error, CallRefused) else isinstance(error, ServerAway)
        if is_second or not passes:
            raise error
        self._has_failed, self._failed_at = True, now
        after = error.retry_after if isinstance(error, CallRefused) else None
        time.sleep(after or _PAUSE_SECONDS)


def broken_off(job_id: str, why: str) -> ServerAway:
    """Return the fault of a stream that ended before its answer did."""
    return ServerAway(f"the stream of {response_of(job_id)} broke off ({why}).")
