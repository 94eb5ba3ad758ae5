"""lambda_router_worker.job: a job as a handler gets it, and the ways to emit."""

import asyncio
import copy
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from lambda_router_queue.models import Envelope
from lambda_router_worker.job import Delta, Job
from lambda_router_worker.outcomes import JobFailed
from lambda_router_worker.processing.handlers import Handler
from tests.job_ids import any_job_id

ENVELOPE = Envelope(
    v=1,
    id=any_job_id(),
    type="generate",
    queue="tinyllama",
    input={"prompt": "hello"},
    owner="alice",
    priority="normal",
    created_at=1,
    deadline_at=2,
    metadata={},
    request_id="r",
    traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
)


def job_emitting_to(take: Callable[[Delta], None]) -> Job:
    job = Job.model_validate_json(ENVELOPE.model_dump_json(exclude_unset=True))
    job.emit_to(take)
    return job


def emitted(use: Callable[[Job], Awaitable[None]], taken: Callable[[Delta], None] | None = None) -> list[Delta]:
    """What arrives of what is emitted so, in the worker's event loop."""
    arrived: list[Delta] = []

    async def scenario() -> None:
        await use(job_emitting_to(taken or arrived.append))

    asyncio.run(scenario())
    return arrived


def in_a_thread(use: Callable[[Job], Any]) -> Callable[[Job], Awaitable[None]]:
    async def call(job: Job) -> None:
        await asyncio.to_thread(use, job)

    return call


def test_an_async_handler_emits():
    async def handler(job: Job) -> None:
        await job.emit("a")
        await job.emit({"reasoning": "b"})
        job.emit_now("c")

    assert emitted(handler) == ["a", {"reasoning": "b"}, "c"]


def test_emit_gives_way_to_other_tasks():
    """Otherwise nothing of a handler that awaits nothing else would be stored before its end."""
    turns: list[str] = []

    async def handler(job: Job) -> None:
        async def other() -> None:
            turns.append("other")

        task = asyncio.create_task(other())
        await job.emit("a")
        turns.append("handler")
        await task

    emitted(handler)
    assert turns == ["other", "handler"]


def test_a_plain_handler_emits_from_its_thread():
    def handler(job: Job) -> None:
        for piece in "abc":
            job.emit_from_thread(piece)

    assert emitted(in_a_thread(handler)) == ["a", "b", "c"]


def test_a_plain_handler_may_emit_in_an_event_loop_of_its_own():
    async def talk(job: Job) -> None:
        await job.emit("a")
        await job.emit("b")

    assert emitted(in_a_thread(lambda job: asyncio.run(talk(job)))) == ["a", "b"]


def test_emit_from_thread_is_refused_where_it_would_block_the_worker():
    async def handler(job: Job) -> None:
        with pytest.raises(RuntimeError, match=r"await emit\(\)"):
            job.emit_from_thread("a")

    assert emitted(handler) == []


def test_emit_now_is_refused_in_a_thread():
    def handler(job: Job) -> None:
        with pytest.raises(RuntimeError, match="emit_from_thread"):
            job.emit_now("a")

    assert emitted(in_a_thread(handler)) == []


def test_the_reason_of_a_refusal_reaches_every_handler():
    def take(delta: Delta) -> None:
        raise JobFailed("result_too_large", "Too large.")

    async def handler(job: Job) -> None:
        with pytest.raises(JobFailed, match="Too large"):
            await job.emit("a")

    def plain(job: Job) -> None:
        with pytest.raises(JobFailed, match="Too large"):
            job.emit_from_thread("a")

    emitted(handler, take)
    emitted(in_a_thread(plain), take)


COPIES: dict[str, Callable[[Job], Job]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": Job.model_copy,
    "changed": lambda job: job.model_copy(update={"input": {}}, deep=True),
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())
def test_a_copy_of_a_job_emits_too(copied: Callable[[Job], Job]):
    async def handler(job: Job) -> None:
        await copied(job).emit("a")

    assert emitted(handler) == ["a"]


def test_a_job_goes_to_another_process_without_its_output():
    async def handler(job: Job) -> None:
        other = pickle.loads(pickle.dumps(job))
        assert other.model_dump() == ENVELOPE.model_dump()
        await other.emit("a")
        other.emit_now("a")
        other.emit_from_thread("a")

    assert emitted(handler) == []


FORKING = """
import asyncio, os
from tests.unit.worker.test_job import Job, emitted

async def handler(job: Job) -> None:
    if os.fork() == 0:
        job.emit_from_thread("a")
        asyncio.run(job.emit("a"))
        job.emit_now("a")
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 7

assert emitted(handler) == []
"""


def test_a_forked_process_emits_nowhere_and_waits_for_nobody():
    with subprocess.Popen([sys.executable, "-c", FORKING], start_new_session=True) as process:
        try:
            assert process.wait(30) == 0
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_a_job_that_no_worker_runs_emits_nowhere():
    job = Job(**ENVELOPE.model_dump())
    asyncio.run(job.emit("a"))
    job.emit_now("a")
    job.emit_from_thread("a")


def test_a_job_is_the_envelope_that_the_queue_holds():
    async def handler(job: Job) -> None:
        assert job.model_dump(exclude_unset=True) == ENVELOPE.model_dump(exclude_unset=True)

    emitted(handler)


def test_a_handler_may_still_be_typed_for_the_envelope():
    async def handler(job: Envelope) -> Any:
        return job.input["prompt"]

    typed: Handler = handler

    async def scenario() -> Any:
        return await typed(job_emitting_to(lambda delta: None))

    assert asyncio.run(scenario()) == "hello"
