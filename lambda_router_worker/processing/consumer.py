"""The worker's loop: claim jobs while there is room, keep the queue moving, and stop on request."""

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

#: How long an idle worker waits in Redis before it checks whether to stop. It sends two commands in this time, and all
#: its chores together may add no more than a tenth: an idle worker is bound to two commands a second.
IDLE_WAIT_MS = 1_100
#: An idle worker reports at every second of its turns, which come after 2.2 s.
BEAT_EVERY_SECONDS = 2.0
#: How long after its last report it reports apart from its turns: a turn that is a little late saves that command.
LATE_BEAT_SECONDS = 1.6 * BEAT_EVERY_SECONDS
#: How often ids whose records have expired are removed from callers' lists.
TRIM_EVERY_SECONDS = 1.0
TIDY_EVERY_SECONDS = 600.0
#: Consumer names of dead workers are removed after an hour.
FORGET_AFTER_MS = 3_600_000
#: How often dead letters beyond the number to keep are discarded.
TRIM_LETTERS_EVERY_SECONDS = 30.0
#: How often a draining worker, which only finishes its jobs, logs what it waits for, and how many jobs it names.
DRAINING_EVERY_SECONDS = 10.0
MOST_JOBS_NAMED = 20
#: At most one report a minute: jitter shortens this interval by up to a fifth, to 60 s.
REPORT_EVERY_SECONDS = 75.0


class KeepDead(NamedTuple):
    """The limits on dead letters: the number to keep, and their age in milliseconds. 0 means no limit."""

    most: int = 0
    ms: int = 0


#: The default here: no limits. The worker's command passes those of ``--keep-dead`` and ``--keep-dead-days``.
ALL_DEAD = KeepDead()

#: Something that the worker does repeatedly in the background.
type Chore = Callable[[], Awaitable[object]]


async def _say_nothing() -> None:
    """Report nothing."""


class Consumer:
    """Processes a queue until stopped, at most ``concurrency`` jobs at a time.

    Args:
        run: runs one attempt of a claimed job, from its start until its outcome is written.
        report: called every REPORT_EVERY_SECONDS, for example to write the queue's figures.
        dead: the limits on dead letters.

    Attributes:
        gate: no job is claimed while it is closed.
    """

    def __init__(
        self, queue: WorkQueue, run: JobRun, concurrency: int, report: Chore = _say_nothing, dead: KeepDead = ALL_DEAD
    ) -> None:
        self._queue = queue
        self._idle_wait = IdleWait(queue)
        self._is_idle = False
        self.gate = run.gate
        self._report = report
        self._dead = dead
        self._run_job = run
        self._concurrency = concurrency
        self._running: set[asyncio.Task[None]] = set()
        # One object for each job whose handler is not done. A job stays in `_running` until its outcome is written.
        self._at_work: set[object] = set()
        self._room = asyncio.Event()
        self._heard_at = time.monotonic()
        self._beat_at = time.monotonic()
        self._sweep_at = time.monotonic()
        self._sweep_paused = False

    @property
    def running(self) -> int:
        """Number of jobs in progress, including those whose outcome is being written."""
        return len(self._running)

    @property
    def _free(self) -> int:
        """Number of further jobs that there is room for.

        The first limit is on running handlers. The second also counts jobs whose outcome is not yet written, since
        they must not pile up while Redis is unreachable.
        """
        return min(self._concurrency - len(self._at_work), 2 * self._concurrency - self.running)

    @property
    def silent_seconds(self) -> float:
        """Seconds since Redis last replied."""
        return time.monotonic() - self._heard_at

    async def run(self, stop: asyncio.Event) -> None:
        """Process jobs until ``stop`` is set. Then claim no more, and finish the jobs in progress."""
        facts = {"consumer": self._queue.consumer, "concurrency": self._concurrency}
        log.info("started", extra=facts | self.gate.facts)
        beat, promote = self._keep_beating(), self._keep_promoting()
        tidy = self._every(TIDY_EVERY_SECONDS, partial(self._queue.tidy, FORGET_AFTER_MS, self._dead.ms))
        trim_lists = self._every(TRIM_EVERY_SECONDS, self._run_job.job_lists.trim)
        report = self._every(REPORT_EVERY_SECONDS, self._report)
        trim_letters = self._every(TRIM_LETTERS_EVERY_SECONDS, self._trim_letters)
        async with _meanwhile(beat), _meanwhile(report), _meanwhile(trim_letters):
            async with _meanwhile(promote), _meanwhile(tidy), _meanwhile(trim_lists):
                await self._claim_until(stop)
            await self._drain()
        with suppress(*REDIS_TROUBLE):  # if this fails, tidy.lua removes the consumer name later
            await self.leave()

    async def _trim_letters(self) -> None:
        discarded = await self._queue.trim_letters(self._dead.most) if self._dead.most else 0
        if discarded:
            log.warning("dead_letters_discarded", extra={"count": discarded, "kept": self._dead.most})

    async def leave(self) -> None:
        """Report that this worker stops, and remove its consumer name. Raises one of REDIS_TROUBLE."""
        await self._queue.leave()

    async def _drain(self) -> None:
        """Wait for the jobs in progress, and log them from time to time."""
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
                # A restarted or emptied Redis may have no consumer groups: create those that are missing.
                prepared = False
                outage.failed(error)
                await pause(outage.failures, stop)

    async def _wait_for_server(self, stop: asyncio.Event) -> None:
        await self.gate.wait_until_open(stop)
        await self._beat()  # estimates include this worker again

    async def _claim_some(self, stop: asyncio.Event) -> None:
        free = self._free
        if free <= 0:
            await self._wait_for_room()
            return
        claims = await self._sweep(free)
        if not claims and not self._is_idle:
            claims = await self._queue.claim(free)
        if not claims:
            claims = await self._turn(free, stop)
        self._heard_at = time.monotonic()
        if stop.is_set() or not self.gate.is_open:
            await self._give_back(claims)
        else:
            await self._begin(claims)

    async def _turn(self, free: int, stop: asyncio.Event) -> list[Claim]:
        """Claim whatever there is, in one call, or wait for the next job. It sweeps, too, and beats if that is due."""
        now = time.monotonic()
        is_due = now >= self._beat_at - LATE_BEAT_SECONDS / 2
        claims, wait_ms = await self._queue.turn(free, IDLE_WAIT_MS, self._concurrency * is_due)
        if is_due:
            self._beat_at = now + LATE_BEAT_SECONDS
        if not claims:
            self._plan_sweep()
            claims = await self._idle_wait(stop, wait_ms)
        self._is_idle = not claims
        if claims:
            self._queue.due.are_unknown()
        return claims

    async def _begin(self, claims: Sequence[Claim]) -> None:
        """Start as many jobs as there is room for. Give the others back rather than hold them."""
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
        """Claim the jobs of dead workers about three times per lease, even while new jobs wait.

        If the jobs of dead workers fill all the room, more of them may be left. The worker then sweeps at every second
        turn of its loop, so that neither they nor new jobs wait for all of the others.
        """
        if self._sweep_paused or time.monotonic() < self._sweep_at:
            self._sweep_paused = False
            return []
        claims = await self._queue.reclaim(free)
        self._sweep_paused = len(claims) == free
        if not self._sweep_paused:
            self._plan_sweep()
        return claims

    def _plan_sweep(self) -> None:
        third = self._queue.lease_ms / 1000 / 3
        self._sweep_at = time.monotonic() + third * random.uniform(0.8, 1.2)  # noqa: S311 (no secret)

    async def _beat(self) -> None:
        self._beat_at = time.monotonic() + BEAT_EVERY_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 (no secret)
        await self._queue.beat(self._concurrency, self.gate.reason)
        self._heard_at = time.monotonic()

    async def _keep_beating(self) -> None:
        """Beat at once, and then whenever a beat is due that no turn has made."""
        while True:
            with suppress(*REDIS_TROUBLE):  # the claiming loop logs the outage
                await self._beat()
            while (left := self._beat_at - time.monotonic()) > 0:
                await asyncio.sleep(left)

    async def _keep_promoting(self) -> None:
        """Move delayed jobs into line when they are due."""
        while True:
            with suppress(*REDIS_TROUBLE):
                await self._queue.promote()
            await self._queue.due.until_look(rests=not self.gate.is_open)

    async def _every(self, seconds: float, chore: Chore) -> None:
        """Run a chore at once and then repeatedly, with jitter so that workers do not run it in step."""
        while True:
            with suppress(*REDIS_TROUBLE):  # the claiming loop logs the outage
                await chore()
            await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311 (no secret)


@asynccontextmanager
async def _meanwhile(chore: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a chore in the background while the block runs."""
    task = asyncio.create_task(chore)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
