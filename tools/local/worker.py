"""What ``make run`` says of its worker while that takes no jobs: why, and that it takes some again."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

LOOK_EVERY_SECONDS = 2.0

# No proxy from the environment: the worker is on this machine's loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class WorkerWatch:
    """Looks at the worker's readiness now and then.

    Args:
        url: of its ``/ready``.
        has_worker: False where the worker is another stack's, which says it there.
    """

    def __init__(self, url: str, *, has_worker: bool) -> None:
        self._url = url
        self._has_worker = has_worker
        self._told = ""
        self._look_at = time.monotonic() + LOOK_EVERY_SECONDS

    def news(self) -> Iterator[str]:
        """A line if something has changed since the last look."""
        if not self._has_worker or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_EVERY_SECONDS
        reason = self._reason()
        if reason is None or reason == self._told:
            return
        self._told = reason
        yield f"the worker takes no jobs: {reason}; it goes on by itself" if reason else "the worker takes jobs again"

    def _reason(self) -> str | None:
        """Why it takes no jobs, "" if it does, None if it does not say."""
        with suppress(OSError, ValueError, LookupError):
            try:
                with _opener.open(self._url, timeout=1.0):
                    return ""
            except urllib.error.HTTPError as error:
                with error:
                    return str(json.load(error)["reason"])
        return None
