"""One job from claim to final state: it is started, processed under a lease, and its outcome is written once."""

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import ValidationError

from lambda_router_queue import traces
from lambda_router_queue.models import PROTOCOL_VERSION
from lambda_router_worker.backend.server_errors import unreachable
from lambda_router_worker.backend.server_trouble import ServerTrouble
from lambda_router_worker.backoff import pause, retry_delay_ms
from lambda_router_worker.job import Job
from lambda_router_worker.outcomes import GivenUp, JobFailed, TryAgain
from lambda_router_worker.processing.attempt import NOBODY, Attempt, Observer, Outcome
from lambda_router_worker.processing.encryption import Encryption
from lambda_router_worker.processing.gate import Gate
from lambda_router_worker.processing.handlers import Handler
from lambda_router_worker.processing.lease_keeper import LeaseKeeper, LeaseLost
from lambda_router_worker.processing.live_output import LiveOutput
from lambda_router_worker.processing.quarantine import Quarantine
from lambda_router_worker.queue.connection import REDIS_SILENCE, REDIS_TROUBLE
from lambda_router_worker.queue.job_lists import JobLists
from lambda_router_worker.queue.work_queue import Begun, Claim, Lease, WorkQueue
from lambda_router_worker.worker_log import log

type Trouble = tuple[type[Exception], ...]

#: Error codes of jobs that ``start.lua`` gives up, by its reply.
_GIVEN_UP = {"dead": "worker_died", "abandoned": "abandoned"}


def _tell_nobody() -> None:
    """No-op callback."""


class JobRun:
    """Runs claimed jobs. It never raises: a broken job must not stop the others.

    Attributes:
        gate: told of each job that the model server processed or had trouble with.
        job_lists: told of each job's caller; the consumer has it trim the lists.
        failed: number of failed jobs by code; whatever reports them clears it.

    Args:
        observer: told of each job's start and end.
    """

    def __init__(
        self,
        queue: WorkQueue,
        handler: Handler,
        encryption: Encryption | None = None,
        gate: Gate | None = None,
        observer: Observer = NOBODY,
    ) -> None:
        self.job_lists = JobLists(queue)
        self.failed: Counter[str] = Counter()
        self.gate = gate or Gate()
        self._queue = queue
        self._handler = handler
        self._encryption = encryption or Encryption()
        self._live = LiveOutput(queue)
        self._held: dict[str, Lease] = {}
        self._quarantine = Quarantine()
        self._observer = observer

    async def __call__(self, claim: Claim, worked: Callable[[], None] = _tell_nobody) -> None:
        """Run a job from claim to final state.

        ``worked`` is called when the handler is done, which makes room for another job.
        """
        facts = {"job_id": claim.job_id}
        try:
            job = _envelope(claim)
            if job is None:
                verdict = await self._queue.reject(claim, _owner(claim), "unreadable", "No worker could read this job.")
                if verdict == "dead":
                    self._ended(verdict, "unreadable")
                log.error("unreadable", extra=facts | {"verdict": verdict})
                return
            facts |= {"type": job.type, "trace_id": job.traceparent[3:35]}
            self.job_lists.met(job.owner)
            await self._run(claim, job, facts, worked)
        except REDIS_TROUBLE as error:
            # The lease expires and another attempt follows. The fencing token prevents this one from writing.
            log.error("gave up", extra=facts | {"error": type(error).__name__})
        except Exception as error:  # a bug in the worker must not affect other jobs either
            log.error("gave up", extra=facts | traces.facts(error))
        finally:
            worked()

    async def _run(self, claim: Claim, job: Job, facts: dict[str, str], worked: Callable[[], None]) -> None:
        nonce = secrets.token_hex(8)  # so that a lost reply costs no attempt
        lease = await self._insist(lambda: self._queue.start(claim, job.owner, nonce), REDIS_SILENCE)
        if isinstance(lease, str):
            if lease in _GIVEN_UP:
                self._ended("dead", _GIVEN_UP[lease])
            log.info("not started", extra=facts | {"reason": lease})
            return
        self._held[claim.job_id] = lease
        self._observer.started(lease.waited_ms / 1000)
        attempt = Attempt(self._handler, self._encryption, job, lambda seal: self._live.of(lease, seal))
        try:
            await self._work(lease, job, attempt, facts, worked)
        finally:
            attempt.end_output()
            self._held.pop(claim.job_id, None)
            if not attempt.is_over:
                await attempt.until_over()

    async def _work(
        self, lease: Lease, job: Job, attempt: Attempt, facts: dict[str, str], worked: Callable[[], None]
    ) -> None:
        started = time.monotonic()
        code = None
        work = self._judged(attempt, lease) if self.gate.has_server else attempt.outcome()
        try:
            with LeaseKeeper(self._queue, lease) as keeper:
                result = await keeper.during(work)
                if isinstance(result, ServerTrouble) and not self.gate.has_server:
                    result = result.otherwise
                if attempt.is_over:
                    worked()
                try:
                    outcome = await self._write(lease, job, result, attempt)
                except JobFailed as too_large:
                    result = too_large
                    outcome = await self._write(lease, job, result, attempt)
            code = _code(result, outcome)
            self._ended(outcome, code)
        except LeaseLost as lost:
            outcome = lost.reason
            if outcome == "cancelled":  # any other end of the job is another worker's
                self._ended(outcome, None)
        seconds = time.monotonic() - started
        self._observer.attempted(outcome, seconds, attempt.usage)
        took = round(seconds * 1000)
        ended: dict[str, Any] = {"outcome": outcome, "code": code, "attempt": lease.attempts, "took_ms": took}
        log.info("worked", extra=facts | ended)

    def _ended(self, outcome: str, code: str | None) -> None:
        """Note how this worker has ended an attempt, or a job without one."""
        if outcome in {"failed", "dead"}:
            self.failed[str(code)] += 1
        self._observer.ended(outcome, code or "")

    async def give_back_all(self, given_back: list[str]) -> None:
        """Give back every job in progress, and append its id. No attempt is counted: the worker ends at once."""

        async def give_back(lease: Lease) -> None:
            if await self._queue.give_back(lease, "begun") == "given back":
                given_back.append(lease.claim.job_id)

        while self._held:
            held, self._held = self._held, {}
            await asyncio.gather(*map(give_back, held.values()))

    async def _judged(self, attempt: Attempt, lease: Lease) -> Outcome:
        """Return the attempt's outcome. ServerTrouble means that the gate is closed and the job must be given back."""
        async with self._quarantine.entered(alone=self._is_suspect(lease)):
            if not self.gate.is_open:  # the gate closed while this job waited for its turn
                return unreachable(self.gate.reason)
            outcome = await attempt.outcome()
            if isinstance(outcome, ServerTrouble):
                return outcome if await self.gate.judge(outcome) else outcome.otherwise
            self.gate.job_was_answered()
            return outcome

    def _is_suspect(self, lease: Lease) -> bool:
        """Return whether the job would be given up if the server broke once more.

        Such a job runs alone. Then no other job is blamed for a crash that it causes, and it is not blamed for theirs.
        """
        return lease.crashes > 0 and lease.crashes + 1 >= self._queue.max_deaths

    async def _write(self, lease: Lease, job: Job, outcome: Outcome, attempt: Attempt) -> str:
        if isinstance(outcome, ServerTrouble):
            how: Begun = "crashed" if outcome.was_there else "untouched"
            return await self._insist(lambda: self._queue.give_back(lease, how))
        if isinstance(outcome, str):
            return await self._complete(lease, outcome, attempt)
        if isinstance(outcome, TryAgain):
            delay_ms = retry_delay_ms(job.retry, lease.attempts, outcome.after_seconds)
            words = (outcome.code, outcome.message)
            return await self._insist(lambda: self._queue.retry(lease, delay_ms, job.retry.attempts, *words))
        if isinstance(outcome, GivenUp):  # with 0 attempts allowed, it becomes a dead letter at once
            return await self._insist(lambda: self._queue.retry(lease, 0, 0, outcome.code, outcome.message))
        error = json.dumps({"code": outcome.code, "message": outcome.message})
        written = await self._insist(lambda: self._queue.fail(lease, error))
        return "failed" if written == "done" else written

    async def _complete(self, lease: Lease, result: str, attempt: Attempt) -> str:
        """Write the result, once all of the live output is there. Raises JobFailed if that is too large."""
        output = attempt.output
        if output is None:
            attempt.end_output()  # a task that the handler left behind may still emit
            written = await self._insist(lambda: self._queue.complete(lease, result))
            return "completed" if written == "done" else written

        async def complete() -> str:
            await output.settled()  # at every try: what lost the confirmation of the result may have lost output, too
            return await self._queue.complete(lease, result)

        written = await self._insist(complete)
        return "completed" if written == "done" else written

    async def _insist[Answer](self, ask: Callable[[], Awaitable[Answer]], trouble: Trouble = REDIS_TROUBLE) -> Answer:
        """Repeat a call that fails with ``trouble``, for a lease's length after the first failure.

        Otherwise the GPU's work would be lost.
        """
        failures = 0
        deadline = 0.0
        while True:
            try:
                return await ask()
            except trouble:
                failures += 1
                deadline = deadline or time.monotonic() + self._queue.lease_ms / 1000
                if time.monotonic() > deadline:
                    raise
                await pause(failures)


def _code(result: Outcome, outcome: str) -> str | None:
    """Return the error code if there is no result; None if there is one."""
    if isinstance(result, ServerTrouble):
        return "backend_crashed" if outcome == "dead" else result.otherwise.code
    return None if isinstance(result, str) else result.code


def _envelope(claim: Claim) -> Job | None:
    """Parse the job; None if it is invalid or of another protocol version."""
    try:
        job = Job.model_validate_json(claim.envelope)
    except ValidationError:
        return None
    return job if job.v == PROTOCOL_VERSION and job.id == claim.job_id else None


def _owner(claim: Claim) -> str:
    """Return the owner that an otherwise unreadable envelope names, so that the job stops counting as open."""
    try:
        document: Any = json.loads(claim.envelope)
        return str(document["owner"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return "unknown"
