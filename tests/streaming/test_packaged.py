"""The zip itself, started by its own wrapper script as Lambda starts it, against a real Valkey."""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_worker.job import Job
from tests.conftest import MakeToken, gateway_event
from tests.deploy.kit.artefact import BUILD, built, lambda_python
from tests.integration.openai.openai_calls import answering
from tests.log_secrets import PROMPT_MARKER
from tests.streaming.runtime_double import LONG, RuntimeDouble
from tests.streaming.task_folder import process

pytestmark = [pytest.mark.package, pytest.mark.timeout(300)]

#: Without the packages of the tests: only the zip's and the runtime's can be imported.
_PYTHON = str(Path(sys.base_prefix) / f"bin/python{sys.version_info.major}.{sys.version_info.minor}")


@pytest.fixture
def function(environ: dict[str, str], double: RuntimeDouble) -> Iterator[RuntimeDouble]:
    with process(built().task, double, _PYTHON, PYTHONPATH=str(lambda_python()), **environ):
        yield double


def test_it_answers_health_with_its_build(function: RuntimeDouble) -> None:
    invoked = function.invoke(gateway_event("GET", "/health", None, {})).wait()

    assert invoked.metadata["statusCode"] == 200
    assert json.loads(invoked.body) == {"status": "ok", "version": BUILD, "function_version": "7"}


def test_a_response_in_the_background_is_queued(
    function: RuntimeDouble, make_token: MakeToken, db: "redis.Redis"
) -> None:
    headers: dict[str, Any] = {"Authorization": f"Bearer {make_token()}", "Content-Type": "application/json"}
    body = {"model": "tinyllama", "input": f"hello {PROMPT_MARKER}", "background": True}

    invoked = function.invoke(gateway_event("POST", "/v1/responses", body, headers)).wait()

    assert invoked.metadata["statusCode"] == 200, invoked.body
    response = json.loads(invoked.body)
    assert response["status"] == "queued"
    assert [key for key in db.scan_iter() if response["id"].removeprefix("resp_") in key]
    listed = function.invoke(gateway_event("GET", f"/v1/responses/{response['id']}", None, headers)).wait()
    assert json.loads(listed.body)["id"] == response["id"]


def test_words_leave_while_the_job_still_runs(
    function: RuntimeDouble, make_token: MakeToken, redis_url: str, db: "redis.Redis"
) -> None:
    go_on = threading.Event()

    async def talk(job: Job) -> dict[str, Any]:
        await job.emit("It is ")
        await asyncio.to_thread(go_on.wait, LONG)
        await job.emit("raining.")
        return {"text": "It is raining.", "finish_reason": "stop"}

    headers: dict[str, Any] = {"Authorization": f"Bearer {make_token()}", "Content-Type": "application/json"}
    body = {"model": "tinyllama", "input": f"hello {PROMPT_MARKER}", "stream": True}
    with answering(redis_url, talk):
        invoked = function.invoke(gateway_event("POST", "/v1/responses", body, headers))
        while b"It is " not in invoked.arrived.get(timeout=LONG):
            pass
        assert not invoked.over.is_set()
        assert db.zcard(QueueKeys("tinyllama").streams_held) == 1
        go_on.set()
        invoked.wait()

    assert invoked.metadata["headers"]["Content-Type"] == "text/event-stream"
    assert (invoked.ended, invoked.trailers) == (True, {})
    assert invoked.body.count(b"event: response.output_text.delta\n") == 2
    assert invoked.body.endswith(b"data: [DONE]\n\n")
    function.invoke(gateway_event("GET", "/health", None, {})).wait()  # the stream was closed before
    assert db.zcard(QueueKeys("tinyllama").streams_held) == 0


def test_what_is_no_request_of_the_gateway_is_refused_and_the_next_one_served(function: RuntimeDouble) -> None:
    """As others have seen after each stream: a second invocation that is no event of the gateway's."""
    for event in ({"completion": True}, [], "text"):
        assert function.invoke(event).wait().metadata["statusCode"] == 400
    assert function.invoke(gateway_event("GET", "/health", None, {})).wait().metadata["statusCode"] == 200


def test_without_a_token_it_is_401_in_the_form_of_openai(function: RuntimeDouble) -> None:
    invoked = function.invoke(gateway_event("GET", "/v1/models", None, {})).wait()

    assert invoked.metadata["statusCode"] == 401
    assert json.loads(invoked.body)["error"]["type"]
