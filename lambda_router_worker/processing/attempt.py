"""One attempt at a job: decrypt its input, run the handler within the time limit, and encode the outcome.

An observer is told how attempts begin and end.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import JsonValue

from lambda_router_queue import traces
from lambda_router_worker.backend.server_trouble import Kind, ServerTrouble
from lambda_router_worker.job import Delta, Job
from lambda_router_worker.outcomes import BadOutcome, GivenUp, JobFailed, TryAgain, Unsuccessful
from lambda_router_worker.processing import results
from lambda_router_worker.processing.encryption import Encryption
from lambda_router_worker.processing.handlers import Handler, ThreadWork
from lambda_router_worker.processing.live_output import Output, Seal
from lambda_router_worker.processing.results import NO_TOKENS, Usage
from lambda_router_worker.worker_log import log

#: The result as JSON, or the reason that there is none.
type Outcome = str | Unsuccessful | ServerTrouble


class Observer:
    """An observer that does nothing. All of its methods are called in the event loop."""

    def started(self, waited_seconds: float) -> None:
        """Note the start of an attempt.

        Args:
            waited_seconds: time since the job has joined its line.
        """

    def ended(self, outcome: str, code: str) -> None:
        """Note how an attempt has ended, or a job that was given up without one.

        Args:
            outcome: as in the log line ``worked``.
            code: the error's code; empty if there is none.
        """

    def attempted(self, outcome: str, seconds: float, usage: Usage) -> None:
        """Note how long an attempt took, until its outcome was written, and which tokens its result names."""


#: The observer of a worker that nobody asks for metrics.
NOBODY = Observer()


class Attempt:
    """One run of a handler on a job. It catches every exception that the handler raises.

    Args:
        begin_output: called when the handler first emits, with how to encrypt it. Most handlers never emit.

    Attributes:
        output: what the handler has emitted; None if it has emitted nothing.
        usage: the tokens that the handler's result names.
    """

    def __init__(
        self, handler: Handler, encryption: Encryption, job: Job, begin_output: Callable[[Seal | None], Output]
    ) -> None:
        self._handler = handler
        self._encryption = encryption
        self._job = job
        self.output: Output | None = None
        self.usage = NO_TOKENS
        self._begin_output = begin_output
        self._seal: Seal | None = None
        self._is_output_over = False
        self._thread: ThreadWork | None = None

    async def outcome(self) -> Outcome:
        """Return the result as JSON, encrypted if the input was, or the reason that there is none.

        The handler runs in its own task, so that a handler that cancels its task cancels nothing else. Raises
        CancelledError when the caller's task is cancelled.
        """
        caller = asyncio.current_task()
        assert caller is not None  # noqa: S101 (narrows the type)
        loop = asyncio.get_running_loop()
        task = asyncio.Task(self._worked(caller), loop=loop, name=self._job.id, eager_start=True)
        try:
            return await task
        except asyncio.CancelledError as error:
            if caller.cancelling():
                raise
            return _broken(error, self._job)

    def end_output(self) -> None:
        """Store nothing further of what the handler emits."""
        self._is_output_over = True
        if self.output is not None:
            self.output.stop("over")

    @property
    def is_over(self) -> bool:
        """False while a handler that is a plain function still runs. Its thread may outlive the job."""
        return self._thread is None or self._thread.is_over

    async def until_over(self) -> None:
        """Wait for a thread that outlives its job, and log the wait. The thread keeps its slot until it ends."""
        if self._thread is None:
            return
        began = time.monotonic()
        log.warning("thread goes on", extra={"job_id": self._job.id})
        await self._thread.until_over()
        log.info("thread ended", extra={"job_id": self._job.id, "after_ms": round((time.monotonic() - began) * 1000)})

    async def _worked(self, caller: asyncio.Task[Any]) -> Outcome:
        """Run the handler and return the outcome.

        Also catches SystemExit, KeyboardInterrupt and panics of extensions, which would end the process.
        """
        limit = asyncio.timeout(self._job.timeout_ms / 1000)
        try:
            async with limit:
                readable = await self._encryption.decrypted(self._job)
                if readable.key is not None:
                    self._seal = readable.sealed
                readable.job.emit_to(self._take)
                result = await self._begun(readable.job)
                encoded = _encoded(result, self._job)
                self.usage = Usage.of(result)
                return readable.encrypted(encoded)
        except BaseException as error:
            if isinstance(error, Unsuccessful) and (outcome := _sound(error)) is not None:
                return outcome
            if isinstance(error, ServerTrouble):
                return error
            # The caller was cancelled, whatever the handler raised. This task's own count may come from a task group.
            if caller.cancelling():
                raise asyncio.CancelledError from error
            if limit.expired():
                late = TryAgain("timeout", f"The job took longer than {self._job.timeout_ms / 1000:g} seconds.")
                return ServerTrouble("no answer in time", Kind.BROKEN, late, was_there=True)
            return _broken(error, self._job)

    def _take(self, delta: Delta) -> None:
        """Take what the handler emits. Raises ValueError, JobFailed."""
        if self._is_output_over:
            return
        if self.output is None:
            self.output = self._begin_output(self._seal)
        self.output.take(delta)

    def _begun(self, job: Job) -> Awaitable[JsonValue]:
        work = self._handler(job)
        if isinstance(work, ThreadWork):
            self._thread = work
        return work


def _encoded(result: JsonValue, job: Job) -> str:
    try:
        return results.encoded(result)
    except JobFailed as failure:
        log.error("result", extra={"job_id": job.id, "error": failure.code, "reason": failure.message})
        raise


def _sound(error: Unsuccessful) -> Unsuccessful | None:
    """Rebuild the outcome, or return None if that fails.

    A handler may raise its own subclass, forget ``super().__init__``, or change the attributes.
    """
    try:
        if isinstance(error, GivenUp):
            return GivenUp(error.code, error.message)
        if isinstance(error, TryAgain):
            return TryAgain(error.code, error.message, error.after_seconds)
        return JobFailed(error.code, error.message)
    except BaseException:  # even its attributes may run the handler's code
        return None


def _broken(error: BaseException, job: Job) -> Unsuccessful:
    """Return the outcome that the caller sees for an error that the handler did not intend. Log its class and place."""
    code, message = "worker_error", "The worker failed on this job."
    facts = {"job_id": job.id} | traces.facts(error)
    if isinstance(error, BadOutcome):
        log.error("handler", extra=facts | {"reason": error.reason})
        return GivenUp(code, message)
    log.error("handler", extra=facts)
    return TryAgain(code, message)
