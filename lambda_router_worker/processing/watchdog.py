"""A thread that notices a blocked event loop. While the loop is blocked, no job's lease is renewed."""

import asyncio
import threading
import time
from types import TracebackType
from typing import Any, Self

from lambda_router_worker import traces
from lambda_router_worker.worker_log import log

#: Number of checks within the time that the loop may be blocked.
LOOKS = 4


class Watchdog:
    """Watches the event loop that it is entered in.

    Args:
        seconds: how long the loop may be blocked before a warning. A third of a lease leaves time to act.
        handler: the handler's name, for the log. Its coroutines run in the loop.
    """

    def __init__(self, seconds: float, handler: str) -> None:
        self._seconds = seconds
        self._handler = handler
        self._stopped = threading.Event()
        self._turned_at = time.monotonic()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._turn()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._timer.cancel()

    def _turn(self) -> None:
        self._turned_at = time.monotonic()
        self._timer = self._loop.call_later(self._seconds / LOOKS, self._turn)

    def _watch(self) -> None:
        told = False
        looked_at = time.monotonic()
        while not self._stopped.wait(self._seconds / LOOKS):
            now, before = time.monotonic(), looked_at
            looked_at = now
            if now - before > self._seconds:  # this thread did not run either
                log.warning("process stood still", extra={"seconds": round(now - before, 1)})
                continue
            stands_for = now - self._turned_at
            if stands_for <= self._seconds:
                told = False
            elif not told:
                told = True
                self._tell(stands_for)

    def _tell(self, seconds: float) -> None:
        task = asyncio.current_task(self._loop)
        facts: dict[str, Any] = {"handler": self._handler, "seconds": round(seconds, 1)}
        if task is not None and task.get_name().startswith("job_"):
            facts["job_id"] = task.get_name()
        log.warning("event loop blocked", extra=facts | {"exception": traces.standing(self._loop_thread)})
