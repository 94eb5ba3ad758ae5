"""SIGTERM and SIGINT. The first one lets jobs in progress finish. The second gives them back and ends the process."""

import asyncio
import logging
import os
import signal
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from lambda_router_worker.processing.consumer import Consumer
from lambda_router_worker.processing.job_run import JobRun
from lambda_router_worker.queue.connection import REDIS_TROUBLE
from lambda_router_worker.worker_log import log

#: Time limit for giving back. Redis may be the reason for the second signal.
GIVE_BACK_SECONDS = 3.0
#: After this time the kernel ends the process (SIGALRM), even if a handler blocks the event loop.
AT_ONCE_SECONDS = 5


class StopSignals:
    """Listens from the moment it is entered. Before ``begin`` nothing is in progress: a first signal ends the process.

    Attributes:
        drain: set by the first signal.
        at_once: set by the second.
        status: exit status of a process that ended at once: 130 after SIGINT, 143 after SIGTERM, as in shells.
    """

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.at_once = asyncio.Event()
        self.status = 0
        self._is_draining = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for signum in (signal.SIGTERM, signal.SIGINT):
            # Not through the event loop, which a handler may be blocking.
            self._before[signum] = signal.signal(signum, self._heard)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler or signal.SIG_DFL)

    def begin(self) -> None:
        """Mark the start of the work. Call this in the event loop that does it."""
        self._loop = asyncio.get_running_loop()

    def _heard(self, signum: int, _frame: FrameType | None) -> None:
        if self._loop is None:
            os._exit(0)
        if not self._is_draining:
            self._is_draining = True
            self._loop.call_soon_threadsafe(self.drain.set)
            return
        self.status = 128 + signum
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(AT_ONCE_SECONDS)
        self._loop.call_soon_threadsafe(self.at_once.set)


async def work_until_stopped(consumer: Consumer, run: JobRun, signals: StopSignals) -> None:
    """Run the consumer until a first signal has come and all jobs are finished. A second one ends the process here."""
    signals.begin()
    working = asyncio.create_task(consumer.run(signals.drain))
    hurry = asyncio.create_task(signals.at_once.wait())
    await asyncio.wait({working, hurry}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        await _end_at_once(consumer, run, signals.status)
    hurry.cancel()
    await working


async def _end_at_once(consumer: Consumer, run: JobRun, status: int) -> NoReturn:
    """Give the jobs back and end the process. Threads cannot be stopped and tasks may refuse to stop."""
    given_back: list[str] = []
    with suppress(TimeoutError, *REDIS_TROUBLE):
        async with asyncio.timeout(GIVE_BACK_SECONDS):
            await run.give_back_all(given_back)
            await consumer.leave()
    log.warning("ended at once", extra={"running": consumer.running, "given_back": given_back})
    logging.shutdown()
    os._exit(status)
