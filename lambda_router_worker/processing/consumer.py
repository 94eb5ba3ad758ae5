"""The loop of a worker: claim what is free to be worked, keep the queue moving, stop when told to."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

from lambda_router_worker.backoff import pause
from lambda_router_worker.processing.idle_wait import IdleWait
from lambda_router_worker.processing.job_run import JobRun
from lambda_router_worker.queue.connection import REDIS_TROUBLE
from lambda_router_worker.queue.outage import Outage
from lambda_router_worker.queue.work_queue import Claim, WorkQueue
from lambda_router_worker.worker_log import log

#: How long an idle worker waits in Redis before it looks whether it should stop.
IDLE_WAIT_MS = 1_000
#: Delayed jobs start at most this late, give or take the work at hand.
PROMOTE_EVERY_SECONDS = 0.5
BEAT_EVERY_SECONDS = 2.0
TRIM_EVERY_SECONDS = 1.0
#: Names of workers that died are kept for an hour.
TIDY_EVERY_SECONDS = 600.0
FORGET_AFTER_MS = 3_600_000
TRIM_LETTERS_EVERY_SECONDS = 30.0
#: How often a worker that drains says what it waits for, and how many jobs it names.
DRAINING_EVERY_SECONDS = 10.0
MOST_JOBS_NAMED = 20
#: A line a minute or less.
REPORT_EVERY_SECONDS = 75.0


class KeepDead(NamedTuple):
    """How many dead letters are kept, and how long; 0: all, and for ever."""

    most: int = 0
    ms: int = 0


ALL_DEAD = KeepDead()

type Chore = Callable[[], Awaitable[object]]


async def _say_nothing() -> None:
    """The report of a worker whose queue nobody measures."""


class Consumer:
    """Works a queue until told to stop, at most ``concurrency`` jobs at a time.

    Args:
        report: what to do about once a minute, such as writing the queue's figures.
        dead: how many dead letters are kept, and how long.

    Attributes:
        gate: nothing is claimed while it is closed.
    """

    def __init__(
        self, queue: WorkQueue, run: JobRun, concurrency: int, report: Chore = _say_nothing, dead: KeepDead = ALL_DEAD
    ) -> None:
        self._queue = queue
        self._idle_wait = IdleWait(queue, IDLE_WAIT_MS)
        self.gate = run.gate
        self._report = report
        self._dead = dead
        self._run_job = run
        self._concurrency = concurrency
        self._running: set[asyncio.Task[None]] = set()
        self._at_work: set[object] = set()
        self._room = asyncio.Event()
        self._heard_at = time.monotonic()
        self._sweep_at = time.monotonic()
        self._sweep_paused = False

    @property
    def running(self) -> int:
        """Jobs at work, and those whose outcome is being written."""
        return len(self._running)

    @property
    def _free(self) -> int:
        """Jobs that there is room for. Outcomes that Redis does not take must not pile up without end."""
        return min(self._concurrency - len(self._at_work), 2 * self._concurrency - self.running)

    @property
    def silent_seconds(self) -> float:
        """Seconds since Redis last answered."""
        return time.monotonic() - self._heard_at

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then finish what was begun and claim no more."""
        facts = {"consumer": self._queue.consumer, "concurrency": self._concurrency}
        log.info("started", extra=facts | self.gate.facts)
        beat = self._every(BEAT_EVERY_SECONDS, self._beat)
        promote = self._every(PROMOTE_EVERY_SECONDS, self._queue.promote)
        tidy = self._every(TIDY_EVERY_SECONDS, partial(self._queue.tidy, FORGET_AFTER_MS, self._dead.ms))
        trim = self._every(TRIM_EVERY_SECONDS, self._run_job.job_lists.trim)
        report = self._every(REPORT_EVERY_SECONDS, self._report)
        letters = self._every(TRIM_LETTERS_EVERY_SECONDS, self._trim_letters)
        async with _meanwhile(beat), _meanwhile(report), _meanwhile(letters):
            async with _meanwhile(promote), _meanwhile(tidy), _meanwhile(trim):
                await self._claim_until(stop)
            await self._drain()
        with suppress(*REDIS_TROUBLE):  # it is forgotten by itself
            await self.leave()

    async def _trim_letters(self) -> None:
        discarded = await self._queue.trim_letters(self._dead.most) if self._dead.most else 0
        if discarded:
            log.warning("dead_letters_discarded", extra={"count": discarded, "kept": self._dead.most})

    async def leave(self) -> None:
        """Say goodbye. Raises one of REDIS_TROUBLE."""
        await self._queue.leave()

    async def _drain(self) -> None:
        """Wait for what was begun, and tell the log from time to time what that is."""
        unfinished = set(self._running)
        while True:
            jobs = sorted(task.get_name() for task in unfinished)
            log.info("draining", extra={"running": len(jobs), "jobs": jobs[:MOST_JOBS_NAMED]})
            if unfinished:
                _, unfinished = await asyncio.wait(unfinished, timeout=DRAINING_EVERY_SECONDS)
            if not unfinished:
                return

    async def _claim_until(self, stop: asyncio.Event) -> None:
        outage = Outage()
        prepared = False
        while not stop.is_set():
            try:
                if not prepared:
                    await self._queue.prepare()
                if self.gate.is_open:
                    await self._claim_some(stop)
                else:
                    await self._wait_for_server(stop)
                prepared = True
                outage.over()
            except REDIS_TROUBLE as error:
                # A restarted or emptied Redis has no consumer group: make it again.
                prepared = False
                outage.failed(error)
                await pause(outage.failures, stop)

    async def _wait_for_server(self, stop: asyncio.Event) -> None:
        await self.gate.wait_until_open(stop)
        await self._beat()  # estimates count on this worker again

    async def _claim_some(self, stop: asyncio.Event) -> None:
        free = self._free
        if free <= 0:
            await self._wait_for_room()
            return
        claims = (
            await self._sweep(free)
            or await self._queue.claim(free)
            or await self._queue.reclaim(free)  # an idle worker looks more often for what dead ones left
            or await self._idle_wait(stop)
        )
        self._heard_at = time.monotonic()
        if stop.is_set() or not self.gate.is_open:
            await self._give_back(claims)
        else:
            await self._begin(claims)

    async def _begin(self, claims: Sequence[Claim]) -> None:
        """Work as many as there is room for now; give the others back rather than sit on them."""
        free = max(0, self._free)
        for claim in claims[:free]:
            place = object()
            self._at_work.add(place)
            run = self._run_job(claim, partial(self._make_room, place))
            task = asyncio.create_task(run, name=claim.job_id)
            self._running.add(task)
            task.add_done_callback(self._ended)
        await self._give_back(claims[free:])

    def _make_room(self, place: object) -> None:
        self._at_work.discard(place)
        self._room.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._room.set()

    async def _wait_for_room(self) -> None:
        self._room.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_WAIT_MS / 1000):
                await self._room.wait()

    async def _give_back(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            await self._queue.release(claim)

    async def _sweep(self, free: int) -> list[Claim]:
        """What dead workers left, about three times a lease: a backlog must not keep their jobs from being found.

        As long as they fill all the room there is, more may be left, and every other turn is theirs. Were it every one,
        new jobs would wait behind many deaths; were it one in a third of a lease, these themselves would take minutes.
        """
        if self._sweep_paused or time.monotonic() < self._sweep_at:
            self._sweep_paused = False
            return []
        claims = await self._queue.reclaim(free)
        self._sweep_paused = len(claims) == free
        if not self._sweep_paused:
            third = self._queue.lease_ms / 1000 / 3
            self._sweep_at = time.monotonic() + third * random.uniform(0.8, 1.2)  # noqa: S311 (no secret)
        return claims

    async def _beat(self) -> None:
        await self._queue.beat(self._concurrency, self.gate.reason)
        self._heard_at = time.monotonic()

    async def _every(self, seconds: float, chore: Chore) -> None:
        """Do a chore at once and then every so often, a little apart from other workers."""
        while True:
            with suppress(*REDIS_TROUBLE):  # the claiming loop says so in the log
                await chore()
            await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311 (no secret)


@asynccontextmanager
async def _meanwhile(chore: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have a chore done in the background while the block runs."""
    task = asyncio.create_task(chore)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
