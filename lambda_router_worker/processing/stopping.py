"""SIGTERM and SIGINT: the first has the worker finish what it has begun, the second gives it back and ends at once."""

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

#: How long giving back may take; Redis may be why somebody lost patience.
GIVE_BACK_SECONDS = 3.0
#: After so long the kernel ends the process (SIGALRM), even if a handler keeps the event loop from turning.
AT_ONCE_SECONDS = 5


class StopSignals:
    """Listens from the moment it is entered. Before ``begin`` there is nothing to finish: the first ends the process.

    Attributes:
        drain: set by the first signal.
        at_once: set by the second.
        status: exit status of a process that was ended at once: 130 after SIGINT, 143 after SIGTERM, as shells have it.
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
            # Not the event loop's own way, which waits for the loop to turn.
            self._before[signum] = signal.signal(signum, self._heard)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler or signal.SIG_DFL)

    def begin(self) -> None:
        """There is work from now on; to be called in the event loop that does it."""
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
    """Returns once the first signal has come and all is finished; the second ends the process here."""
    signals.begin()
    working = asyncio.create_task(consumer.run(signals.drain))
    hurry = asyncio.create_task(signals.at_once.wait())
    await asyncio.wait({working, hurry}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        await _end_at_once(consumer, run, signals.status)
    hurry.cancel()
    await working


async def _end_at_once(consumer: Consumer, run: JobRun, status: int) -> NoReturn:
    """Threads cannot be stopped and tasks may refuse to, so the process ends without them."""
    given_back: list[str] = []
    with suppress(TimeoutError, *REDIS_TROUBLE):
        async with asyncio.timeout(GIVE_BACK_SECONDS):
            await run.give_back_all(given_back)
            await consumer.leave()
    log.warning("ended at once", extra={"running": consumer.running, "given_back": given_back})
    logging.shutdown()
    os._exit(status)
