"""The messages of ``make run`` about a worker: why it takes no jobs, and when it takes some again."""

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
    """A watch on the worker's readiness.

    Args:
        url: the address of its ``/ready``.
        name: what the messages call it.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._told = ""
        self._look_at = time.monotonic() + LOOK_EVERY_SECONDS

    def news(self) -> Iterator[str]:
        """Yield a line if something has changed since the last look."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_EVERY_SECONDS
        reason = self._reason()
        if reason is None or reason == self._told:
            return
        self._told = reason
        yield (
            f"{self._name} takes no jobs: {reason}; it resumes by itself"
            if reason
            else f"{self._name} takes jobs again"
        )

    def _reason(self) -> str | None:
        """Return why the worker takes no jobs, "" if it does, None if it does not say."""
        with suppress(OSError, ValueError, LookupError):
            try:
                with _opener.open(self._url, timeout=1.0):
                    return ""
            except urllib.error.HTTPError as error:
                with error:
                    return str(json.load(error)["reason"])
        return None
