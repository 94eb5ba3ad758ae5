"""One job, sent to a model server of the test's own."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lambda_router_worker.backend.openai_backend import OpenAIBackend
from lambda_router_worker.backend.server_trouble import ServerTrouble
from lambda_router_worker.job import Job
from lambda_router_worker.outcomes import Unsuccessful
from tests.model_servers import Call, Script, model_server

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def job_of(kind: str = "generate", **given: Any) -> Job:
    return Job(
        v=1,
        id="job_" + "0" * 32,
        type=kind,
        queue="tinyllama",
        input=given,
        owner="owner",
        priority="normal",
        created_at=1,
        deadline_at=2,
        metadata={"private": "to the caller"},
        request_id="request",
        traceparent=TRACE,
    )


def with_backend[Answer](use: Callable[[OpenAIBackend], Any], base_url: str, **options: Any) -> Any:
    """What comes of that, with a backend for that server."""

    async def call() -> Any:
        async with OpenAIBackend(base_url, "tinyllama", **options) as backend:
            return await use(backend)

    return asyncio.run(call())


def ask(script: Script, job: Job | None = None, **options: Any) -> Any:
    """The job's result, from a server that does so."""
    with model_server(script) as server:
        return with_backend(lambda backend: backend(job or job_of(prompt="x")), server.base_url, **options)


def failure_of(script: Script, job: Job | None = None, **options: Any) -> Unsuccessful:
    """How the job fails for good or for now, with a server that does so."""
    with pytest.raises(Unsuccessful) as raised:
        ask(script, job, **options)
    return raised.value


def trouble_of(script: Script, job: Job | None = None, **options: Any) -> ServerTrouble:
    """What is wrong with a server that does so."""
    with pytest.raises(ServerTrouble) as raised:
        ask(script, job, **options)
    return raised.value


def answering(status: int, document: Any = b"", **headers: str) -> Script:
    return lambda call: call.answer(status, document, **headers)


def streaming(*documents: Any) -> Script:
    return lambda call: call.stream(documents)


def sending(*pieces: bytes, **headers: str) -> Script:
    """A stream of just these bytes, each in a piece of its own."""

    def script(call: Call) -> None:
        call.begin_stream(**headers)
        for piece in pieces:
            call.piece(piece)
        call.end_stream()

    return script
