"""The queue's figures for scrapes: read seldom, in bounded time, and once for all who scrape at the same time."""

import asyncio
import time

from lambda_router_queue import traces
from lambda_router_queue.redis.troubles import explain
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.operations.queue_stats import Stats
from lambda_router_worker.queue.connection import REDIS_TROUBLE
from lambda_router_worker.worker_log import log

#: However often somebody scrapes, the queue is read once in this time. Prometheus scrapes every 15 to 60 s.
FRESH_SECONDS = 5.0
#: Prometheus gives up after 10 s by default, and would then lose the worker's own metrics, too.
READ_SECONDS = 2.5


class QueueFigures:
    """The figures of one queue, no older than FRESH_SECONDS."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._reading: asyncio.Task[Stats | None] | None = None
        self._began = 0.0
        self._is_lost = False

    async def newest(self) -> Stats | None:
        """Return the figures, or None if Redis does not reply in time."""
        if self._reading is None or (self._reading.done() and time.monotonic() - self._began >= FRESH_SECONDS):
            self._began = time.monotonic()
            self._reading = asyncio.create_task(self._read())
        return await asyncio.shield(self._reading)  # others may wait for it, too

    async def _read(self) -> Stats | None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                stats = await self._operations.stats()
        except TimeoutError:
            self._lost({"explanation": f"Redis took longer than {READ_SECONDS:g} s to describe the queue"})
        except REDIS_TROUBLE as error:
            self._lost({"explanation": explain(error)})
        except Exception as error:  # a reply of another shape, or a bug: the worker's own metrics come all the same
            self._lost(traces.facts(error))
        else:
            self._is_lost = False
            return stats
        return None

    def _lost(self, facts: dict[str, str]) -> None:
        """Log why the queue could not be read, once in an outage: the worker logs the outage itself."""
        if not self._is_lost:
            log.warning("queue unread", extra=facts)
        self._is_lost = True
