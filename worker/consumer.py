"""The loop of a worker: claim, start, have it worked, keep the lease, write the result."""

import asyncio
import json
import random
import time

from aws_lambda_powertools import Logger
from pydantic import JsonValue
from redis.exceptions import RedisError

from worker.handlers import Handler
from worker.outcomes import JobFailed
from worker.work_queue import Claim, Lease, WorkQueue

#: How long an idle worker waits in Redis before it looks whether it should stop.
IDLE_WAIT_MS = 1_000
#: A cancelled job's worker learns of it within this time.
RENEW_EVERY_SECONDS = 1.5
MAX_PAUSE_SECONDS = 5.0
#: API Gateway and Lambda pass no more than 6 MB back; a caller could never fetch more.
MAX_RESULT_BYTES = 4 * 1024 * 1024

log = Logger(service="lambda-router-worker", log_uncaught_exceptions=False, log_record_order=["level", "message"])


class Consumer:
    """Works a queue until told to stop, at most ``concurrency`` jobs at a time."""

    def __init__(self, queue: WorkQueue, handler: Handler, concurrency: int) -> None:
        self._queue = queue
        self._handler = handler
        self._concurrency = concurrency
        self._running: set[asyncio.Task[None]] = set()
        self._answered_at = time.monotonic()

    @property
    def running(self) -> int:
        """Jobs at work."""
        return len(self._running)

    @property
    def silent_seconds(self) -> float:
        """Seconds since Redis last answered."""
        return time.monotonic() - self._answered_at

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then finish what was begun and claim no more."""
        log.info("started", extra={"consumer": self._queue.consumer, "concurrency": self._concurrency})
        failures = 0
        prepared = False
        while not stop.is_set():
            try:
                if not prepared:
                    await self._queue.prepare()
                await self._claim_some()
                prepared, failures = True, 0
                self._answered_at = time.monotonic()
            except RedisError as error:
                # A restarted or emptied Redis has no consumer group: make it again.
                prepared, failures = False, failures + 1
                log.warning("redis", extra={"error": type(error).__name__, "failures": failures})
                await _pause(failures, stop)
        log.info("draining", extra={"running": self.running})
        await asyncio.gather(*self._running)

    async def _claim_some(self) -> None:
        free = self._concurrency - self.running
        if free <= 0:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED, timeout=IDLE_WAIT_MS / 1000)
            return
        for claim in await self._queue.claim(free, IDLE_WAIT_MS):
            task = asyncio.create_task(self._work(claim))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _work(self, claim: Claim) -> None:
        """One job from start to final state. Never raises: a broken job must not stop the others."""
        facts = {"job_id": claim.job.id, "type": claim.job.type, "trace_id": claim.job.traceparent[3:35]}
        started = time.monotonic()
        try:
            lease = await self._queue.start(claim)
            if isinstance(lease, str):
                log.info("not started", extra=facts | {"reason": lease})
                return
            outcome = await self._work_leased(lease)
            took = round((time.monotonic() - started) * 1000)
            log.info("worked", extra=facts | {"outcome": outcome, "attempts": lease.attempts, "took_ms": took})
        except RedisError as error:
            # The lease lapses and another attempt is made; the fencing token keeps this one out.
            log.error("gave up", extra=facts | {"error": type(error).__name__})

    async def _work_leased(self, lease: Lease) -> str:
        """How it went: ``completed``, ``failed``, or why the result was thrown away."""
        work = asyncio.create_task(self._outcome(lease))
        watch = asyncio.create_task(self._watch(lease))
        await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await _cancelled(work)
            return watch.result()
        await _cancelled(watch)
        status, field, value = work.result()
        written = await self._finish(lease, status, field, value)
        return status if written == "done" else written

    async def _outcome(self, lease: Lease) -> tuple[str, str, str]:
        """Final status, field and its JSON. What a handler raises unforeseen stays in the log."""
        try:
            return _completed(await self._handler(lease.claim.job))
        except JobFailed as failure:
            return _failed(failure.code, failure.message)
        except Exception as error:
            log.error("handler", extra={"job_id": lease.claim.job.id, "error": type(error).__name__})
            return _failed("worker_error", "The worker failed on this job.")

    async def _watch(self, lease: Lease) -> str:
        """Renew the lease until told to stop; the reason. Redis being away is no reason: the work may still count."""
        while True:
            await asyncio.sleep(RENEW_EVERY_SECONDS)
            try:
                verdict = await self._queue.renew(lease)
            except RedisError:
                continue
            self._answered_at = time.monotonic()
            if verdict != "run":
                return verdict

    async def _finish(self, lease: Lease, status: str, field: str, value: str) -> str:
        """Write the final state; try for as long as the lease lasts, since the GPU's work is in it."""
        deadline = time.monotonic() + self._queue.lease_ms / 1000
        failures = 0
        while True:
            try:
                return await self._queue.finish(lease, status, field, value)  # type: ignore[arg-type]
            except RedisError:
                failures += 1
                if time.monotonic() > deadline:
                    raise
                await _pause(failures)


def _completed(result: JsonValue) -> tuple[str, str, str]:
    try:
        value = json.dumps(result, ensure_ascii=False, allow_nan=False)
        size = len(value.encode())
    except (TypeError, ValueError, RecursionError):
        return _failed("result_not_json", "The worker's result cannot be written as JSON.")
    if size > MAX_RESULT_BYTES:
        return _failed("result_too_large", f"The result has {size} bytes; {MAX_RESULT_BYTES} can be stored.")
    return "completed", "result", value


def _failed(code: str, message: str) -> tuple[str, str, str]:
    return "failed", "error", json.dumps({"code": code, "message": message})


async def _cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _pause(failures: int, stop: asyncio.Event | None = None) -> None:
    """Back off exponentially with full jitter, so that a fleet does not come back as one."""
    seconds = random.uniform(0, min(MAX_PAUSE_SECONDS, 0.1 * 2**failures))  # noqa: S311 (no secret)
    if stop is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
