"""Place in line and expected start of a job, shown while it waits."""

import threading
import time
from types import TracebackType
from typing import Any

from lambda_router.calling.api import Api, Reply
from lambda_router.calling.terminal import StatusLine
from lambda_router.calling.times import seconds_of, span
from lambda_router.errors import KitError

#: Most jobs of an idle service start sooner, and then nothing need be asked.
_FIRST_SECONDS = 0.7
_LEAST_SECONDS = 2.0
_TICK_SECONDS = 1.0


class Waiting:
    """Polls a job as often as the server says, in a thread, until it has started. Does nothing without a terminal."""

    def __init__(self, api: Api, job_id: str, line: StatusLine) -> None:
        self._api = api
        self._path = f"/v1/jobs/{job_id}"
        self._line = line
        self._over = threading.Event()
        self._lock = threading.Lock()
        # A daemon: an answer that never comes must not keep the command from ending.
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Waiting":
        """Begin to watch, if anybody sees it."""
        if self._line.is_wanted:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching and erase the line."""
        with self._lock:
            self._over.set()
            self._line.clear()

    def started(self) -> None:
        """Stop watching: the job is in line no longer."""
        with self._lock:
            if not self._over.is_set():
                self._over.set()
                self._line.show("running")

    def _watch(self) -> None:
        pause = _FIRST_SECONDS
        while not self._over.wait(pause):
            try:
                reply = self._api.call("GET", self._path)
            except KitError:  # the reader of the answer says what is wrong
                pause = 10.0
                continue
            asked_at = time.monotonic()
            pause = _TICK_SECONDS
            until = asked_at + max(reply.retry_after or 0.0, _LEAST_SECONDS)
            while not self._over.is_set() and time.monotonic() < until:
                self._show(reply, time.monotonic() - asked_at)
                self._over.wait(_TICK_SECONDS)

    def _show(self, reply: Reply, age: float) -> None:
        text = place_of(reply.document, reply.clock + age)
        with self._lock:  # so that no place appears behind the first words
            if text and not self._over.is_set():
                self._line.show(text)


def place_of(job: dict[str, Any], now: float) -> str:
    """Return where a job is that has not started, in words; empty if it has."""
    if job.get("status") != "queued":
        return ""
    position, start = job.get("position"), seconds_of(job.get("estimated_start_at"))
    if isinstance(position, int):
        expected = f"expected start in {span(start - now)}" if start is not None else "no worker reports"
        return f"place {position} in line, {expected}"
    return f"waiting, expected start in {span(start - now)}" if start is not None else "waiting"
