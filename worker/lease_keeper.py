"""Keeps the lease of one job while it is worked and its outcome written; stops the work once the lease is gone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from worker.connection import REDIS_TROUBLE
from worker.work_queue import Lease, WorkQueue

#: A cancelled job's worker learns of it within this time.
RENEW_EVERY_SECONDS = 1.5


class LeaseLost(Exception):
    """The job is no longer this worker's. ``reason`` is what ``worker/lua/renew.lua`` said."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LeaseKeeper:
    """Renews until the work is done. Work that is done before the first renewal costs no task of its own."""

    def __init__(self, queue: WorkQueue, lease: Lease) -> None:
        self._queue = queue
        self._lease = lease
        self._every = min(RENEW_EVERY_SECONDS, queue.lease_ms / 3000)
        self._renewing: asyncio.Task[None] | None = None
        self._lost: str | None = None

    async def during[Answer](self, work: Awaitable[Answer]) -> Answer:
        """What the work answers. Once the lease is gone it is cancelled, and has ended when this raises LeaseLost."""
        worker = asyncio.current_task()
        assert worker is not None  # noqa: S101 (tells the types)
        with self._renewed(worker.cancel):
            return await self._unless_lost(worker, work)

    async def while_written[Answer](self, write: Awaitable[Answer]) -> Answer:
        """What the write answers. Nothing stops it: its script sees by itself whether the lease still holds."""
        with self._renewed(lambda: None):
            return await write

    async def _unless_lost[Answer](self, worker: asyncio.Task[Any], work: Awaitable[Answer]) -> Answer:
        try:
            answer = await work
        except asyncio.CancelledError:
            if self._lost is None or worker.uncancel():  # somebody else cancels it
                raise
            raise LeaseLost(self._lost) from None
        if self._lost is not None:  # it went on to its end all the same
            worker.uncancel()
            raise LeaseLost(self._lost)
        return answer

    @contextmanager
    def _renewed(self, lost: Callable[[], object]) -> Iterator[None]:
        """Renew while the block runs, and call ``lost`` once there is nothing to renew."""
        timer = asyncio.get_running_loop().call_later(self._every, self._begin, lost)
        try:
            yield
        finally:
            timer.cancel()
            if self._renewing is not None:
                self._renewing.cancel()

    def _begin(self, lost: Callable[[], object]) -> None:
        self._renewing = asyncio.create_task(self._renew(lost))

    async def _renew(self, lost: Callable[[], object]) -> None:
        """Until told to stop. Redis being away is no reason: the work may still count."""
        while True:
            with suppress(*REDIS_TROUBLE):
                verdict = await self._queue.renew(self._lease)
                if verdict != "run":
                    break
            await asyncio.sleep(self._every)
        self._lost = verdict
        lost()
