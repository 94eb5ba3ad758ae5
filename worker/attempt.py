"""One attempt at a job: its input is decrypted, a handler works it within its time, and what came of it is encoded."""

import asyncio
from typing import Any

from pydantic import JsonValue

from chalicelib.models import Envelope
from worker import results, traces
from worker.encryption import Encryption
from worker.handlers import Handler
from worker.outcomes import BadOutcome, GivenUp, JobFailed, TryAgain, Unsuccessful, UnsupportedType
from worker.server_trouble import Kind, ServerTrouble
from worker.worker_log import log

#: The result as JSON, or why there is none.
type Outcome = str | Unsuccessful | ServerTrouble


async def attempt(handler: Handler, encryption: Encryption, job: Envelope) -> Outcome:
    """The result as JSON, encrypted where the input was, or why there is none.

    Nothing that a handler raises gets any further. It has a task of its own, so that a handler that cancels its task
    cancels nothing else. Raises CancelledError when the caller's task is cancelled.
    """
    caller = asyncio.current_task()
    assert caller is not None  # noqa: S101 (tells the types)
    work = _work(handler, encryption, job, caller)
    task = asyncio.Task(work, loop=asyncio.get_running_loop(), name=job.id, eager_start=True)
    try:
        return await task
    except asyncio.CancelledError as error:
        if caller.cancelling():
            raise
        return _broken(error, job)


async def _work(handler: Handler, encryption: Encryption, job: Envelope, caller: asyncio.Task[Any]) -> Outcome:
    """Catches SystemExit, KeyboardInterrupt and panics of extensions, too: the event loop would end the process."""
    limit = asyncio.timeout(job.timeout_ms / 1000)
    try:
        async with limit:
            readable = await encryption.decrypted(job)
            return readable.encrypted(_encoded(await handler(readable.job), job))
    except BaseException as error:
        if isinstance(error, Unsuccessful) and (outcome := _sound(error)) is not None:
            return outcome
        if isinstance(error, ServerTrouble):
            return error
        if caller.cancelling():  # whatever the handler made of it; its own task's count may be a task group's doing
            raise asyncio.CancelledError from error
        if limit.expired():
            late = TryAgain("timeout", f"The job took longer than {job.timeout_ms / 1000:g} seconds.")
            return ServerTrouble("no answer in time", Kind.BROKEN, late, was_there=True)
        return _broken(error, job)


def _encoded(result: JsonValue, job: Envelope) -> str:
    try:
        return results.encoded(result)
    except JobFailed as failure:
        log.error("result", extra={"job_id": job.id, "error": failure.code, "reason": failure.message})
        raise


def _sound(error: Unsuccessful) -> Unsuccessful | None:
    """The outcome made anew: a handler may derive its own class, forget ``super().__init__``, or set its attributes."""
    try:
        if isinstance(error, UnsupportedType):
            return UnsupportedType(error.message)
        if isinstance(error, TryAgain):
            return TryAgain(error.code, error.message, error.after_seconds)
        return JobFailed(error.code, error.message)
    except (AttributeError, BadOutcome):
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
