"""Renewal of a job's lease while the job is processed and its outcome written. A lost lease cancels the processing."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from lambda_router_worker.queue.connection import REDIS_TROUBLE
from lambda_router_worker.queue.work_queue import Lease, WorkQueue

#: A worker learns within this time that its job was cancelled.
RENEW_EVERY_SECONDS = 1.5


class LeaseLost(Exception):
    """The worker no longer holds the job. ``reason`` is the reply of ``lambda_router_worker/queue/lua/renew.lua``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LeaseKeeper:
    """Renews the lease while its block runs. Work that ends before the first renewal costs one timer and no task."""

    def __init__(self, queue: WorkQueue, lease: Lease) -> None:
        self._queue = queue
        self._lease = lease
        self._every = min(RENEW_EVERY_SECONDS, queue.lease_ms / 3000)
        self._timer: asyncio.TimerHandle | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._at_work: asyncio.Task[Any] | None = None
        self._lost: str | None = None

    def __enter__(self) -> Self:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._begin)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._renewing is not None:
            self._renewing.cancel()

    async def during[Answer](self, work: Awaitable[Answer]) -> Answer:
        """Return the work's result. If the lease is lost, cancel the work, wait for its end and raise LeaseLost.

        Later steps, such as writing the outcome, are not cancelled: their script checks the lease.
        """
        worker = self._at_work = asyncio.current_task()
        assert worker is not None  # noqa: S101 (narrows the type)
        try:
            answer = await work
        except asyncio.CancelledError:
            if self._lost is None or worker.uncancel():  # cancelled from elsewhere
                raise
            raise LeaseLost(self._lost) from None
        finally:
            self._at_work = None
        if self._lost is not None:  # the work ignored the cancellation and ended
            worker.uncancel()
            raise LeaseLost(self._lost)
        return answer

    def _begin(self) -> None:
        self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        """Renew until the reply says to stop. A Redis outage is no reason to stop, because the work may still count."""
        while True:
            with suppress(*REDIS_TROUBLE):
                verdict = await self._queue.renew(self._lease)
                if verdict != "run":
                    break
            await asyncio.sleep(self._every)
        if self._at_work is not None:
            self._lost = verdict
            self._at_work.cancel()
