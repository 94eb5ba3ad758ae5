"""One attempt at a job: its input is decrypted, a handler works it within its time, and what came of it is encoded."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

from pydantic import JsonValue

from lambda_router_queue import traces
from lambda_router_queue.models import Envelope
from lambda_router_worker.backend.server_trouble import Kind, ServerTrouble
from lambda_router_worker.outcomes import BadOutcome, GivenUp, JobFailed, TryAgain, Unsuccessful
from lambda_router_worker.processing import results
from lambda_router_worker.processing.encryption import Encryption
from lambda_router_worker.processing.handlers import Handler, ThreadWork
from lambda_router_worker.worker_log import log

#: The result as JSON, or why there is none.
type Outcome = str | Unsuccessful | ServerTrouble


class Attempt:
    """What a handler makes of a job. Nothing that it raises gets any further."""

    def __init__(self, handler: Handler, encryption: Encryption, job: Envelope) -> None:
        self._handler = handler
        self._encryption = encryption
        self._job = job
        self._thread: ThreadWork | None = None

    async def outcome(self) -> Outcome:
        """The result as JSON, encrypted where the input was, or why there is none.

        The handler has a task of its own, so that one that cancels its task cancels nothing else. Raises CancelledError
        when the caller's task is cancelled.
        """
        caller = asyncio.current_task()
        assert caller is not None  # noqa: S101 (tells the types)
        loop = asyncio.get_running_loop()
        task = asyncio.Task(self._worked(caller), loop=loop, name=self._job.id, eager_start=True)
        try:
            return await task
        except asyncio.CancelledError as error:
            if caller.cancelling():
                raise
            return _broken(error, self._job)

    @property
    def is_over(self) -> bool:
        """Whether a handler that is a plain function has ended; its thread may outlive the job."""
        return self._thread is None or self._thread.is_over

    async def until_over(self) -> None:
        """Wait for a thread that outlives its job: its place is not free before. The log is told."""
        if self._thread is None:
            return
        began = time.monotonic()
        log.warning("thread goes on", extra={"job_id": self._job.id})
        await self._thread.until_over()
        log.info("thread ended", extra={"job_id": self._job.id, "after_ms": round((time.monotonic() - began) * 1000)})

    async def _worked(self, caller: asyncio.Task[Any]) -> Outcome:
        """Catches SystemExit, KeyboardInterrupt and panics of extensions, too: the event loop would end the process."""
        limit = asyncio.timeout(self._job.timeout_ms / 1000)
        try:
            async with limit:
                readable = await self._encryption.decrypted(self._job)
                return readable.encrypted(_encoded(await self._begun(readable.job), self._job))
        except BaseException as error:
            if isinstance(error, Unsuccessful) and (outcome := _sound(error)) is not None:
                return outcome
            if isinstance(error, ServerTrouble):
                return error
            if caller.cancelling():  # whatever the handler made of it; its own task's count may be a task group's doing
                raise asyncio.CancelledError from error
            if limit.expired():
                late = TryAgain("timeout", f"The job took longer than {self._job.timeout_ms / 1000:g} seconds.")
                return ServerTrouble("no answer in time", Kind.BROKEN, late, was_there=True)
            return _broken(error, self._job)

    def _begun(self, job: Envelope) -> Awaitable[JsonValue]:
        work = self._handler(job)
        if isinstance(work, ThreadWork):
            self._thread = work
        return work


def _encoded(result: JsonValue, job: Envelope) -> str:
    try:
        return results.encoded(result)
    except JobFailed as failure:
        log.error("result", extra={"job_id": job.id, "error": failure.code, "reason": failure.message})
        raise


def _sound(error: Unsuccessful) -> Unsuccessful | None:
    """The outcome made anew: a handler may derive its own class, forget ``super().__init__``, or set its attributes."""
    try:
        if isinstance(error, GivenUp):
            return GivenUp(error.code, error.message)
        if isinstance(error, TryAgain):
            return TryAgain(error.code, error.message, error.after_seconds)
        return JobFailed(error.code, error.message)
    except BaseException:  # its attributes may be a stranger's code, too
        return None


def _broken(error: BaseException, job: Envelope) -> Unsuccessful:
    """What the caller reads of anything that a handler did not mean to raise. The log is told what broke and where."""
    code, message = "worker_error", "The worker failed on this job."
    facts = {"job_id": job.id} | traces.facts(error)
    if isinstance(error, BadOutcome):
        log.error("handler", extra=facts | {"reason": error.reason})
        return GivenUp(code, message)
    log.error("handler", extra=facts)
    return TryAgain(code, message)
