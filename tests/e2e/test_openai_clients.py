"""OpenAI's own clients, unmodified, against the stack of ``make run``."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import Response

from tests import npm
from tests.e2e.conftest import StartStack
from tests.e2e.running_stack import RunningStack
from tools.stack.repository import ROOT

MODEL = "tinyllama"
JAVASCRIPT = Path(__file__).with_name("javascript")


def client(stack: RunningStack, user: str, **options: Any) -> OpenAI:
    """The client in its strict mode, which raises for a response that its types do not allow."""
    return OpenAI(base_url=f"{stack.url}/v1", api_key=stack.token(user), _strict_response_validation=True, **options)


def completed(client: OpenAI, response_id: str) -> Response:
    deadline = time.monotonic() + 30
    while (response := client.responses.retrieve(response_id)).status in {"queued", "in_progress"}:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return response


def test_a_response_in_the_background_is_polled_until_it_is_completed(stack: RunningStack) -> None:
    with client(stack, "ida") as caller:
        response = caller.responses.create(model=MODEL, input="hello", background=True, metadata={"a": "b"})
        assert response.status == "queued"
        response = completed(caller, response.id)
    assert (response.status, response.output_text, response.metadata) == ("completed", "HELLO", {"a": "b"})
    assert response.usage is not None
    assert response.usage.total_tokens == 2


def test_held_responses_chats_and_conversations(stack: RunningStack) -> None:
    with client(stack, "jon") as caller:
        first = caller.responses.create(model=MODEL, input="hello")
        second = caller.responses.create(model=MODEL, input="again", previous_response_id=first.id)
        messages: list[Any] = [{"role": "user", "content": "hello"}]
        chat = caller.chat.completions.create(model=MODEL, messages=messages)
        messages += [chat.choices[0].message, {"role": "user", "content": "once more"}]
        more = caller.chat.completions.create(model=MODEL, messages=messages)
    assert (first.output_text, second.output_text) == ("HELLO", "AGAIN")
    assert [each.choices[0].message.content for each in (chat, more)] == ["HELLO", "ONCE MORE"]


def test_the_output_of_a_response_is_valid_input(stack: RunningStack) -> None:
    with client(stack, "kim") as caller:
        items: list[Any] = [{"role": "user", "content": "hello"}]
        items += caller.responses.create(model=MODEL, input=items).output
        items += [{"role": "user", "content": "again"}]
        assert caller.responses.create(model=MODEL, input=items).output_text == "AGAIN"


def test_models_items_cancel_and_delete(stack: RunningStack) -> None:
    with client(stack, "lea") as caller:
        assert [model.id for model in caller.models.list()] == [MODEL]
        assert caller.models.retrieve(MODEL).id == MODEL
        response = caller.responses.create(model=MODEL, input="hello")
        assert [item.type for item in caller.responses.input_items.list(response.id)] == ["message"]
        assert caller.responses.cancel(response.id).status == "completed"
        caller.responses.delete(response.id)
        with pytest.raises(openai.NotFoundError):
            caller.responses.retrieve(response.id)


@pytest.mark.parametrize(
    ("call", "error", "code", "param"),
    [
        ({"model": "other"}, openai.NotFoundError, "model_not_found", "model"),
        ({"extra_body": {"best_of": 2}}, openai.BadRequestError, "unknown_parameter", "best_of"),
        (
            {"previous_response_id": "resp_x"},
            openai.BadRequestError,
            "previous_response_not_found",
            "previous_response_id",
        ),
    ],
    ids=["model", "unknown", "previous"],
)
def test_errors_are_of_the_clients_own_kinds(
    stack: RunningStack, call: dict[str, Any], error: type[openai.APIStatusError], code: str, param: str
) -> None:
    with client(stack, "mia") as caller, pytest.raises(error) as raised:
        caller.responses.create(**{"model": MODEL, "input": "hello"} | call)
    assert (raised.value.code, raised.value.param) == (code, param)


def test_a_bad_token_is_an_authentication_error(stack: RunningStack) -> None:
    with OpenAI(base_url=f"{stack.url}/v1", api_key="x") as caller, pytest.raises(openai.AuthenticationError):
        caller.models.list()


def test_the_async_client_has_many_responses_at_once(stack: RunningStack) -> None:
    async def ask() -> list[str]:
        async with AsyncOpenAI(base_url=f"{stack.url}/v1", api_key=stack.token("ned")) as caller:
            calls = [caller.responses.create(model=MODEL, input=f"text {place}") for place in range(6)]
            return [response.output_text for response in await asyncio.gather(*calls)]

    assert asyncio.run(ask()) == [f"TEXT {place}" for place in range(6)]


def test_the_javascript_client(stack: RunningStack) -> None:
    npm.install(JAVASCRIPT)
    ran = npm.run(JAVASCRIPT, "node", "client.mjs", f"{stack.url}/v1", stack.token("ola"))
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "models": [MODEL],
        "created": "queued",
        "completed": "HELLO",
        "next": "AGAIN",
        "cancelled": "completed",
        "items": 1,
        "deleted": ["NotFoundError", 404, "not_found"],
        "unknown": ["NotFoundError", 404, "model_not_found", "model"],
        "chat": "HELLO",
    }


@pytest.mark.parametrize("part", ["worker", "valkey"])
def test_a_response_survives_a_part_that_is_killed(start_stack: StartStack, part: str) -> None:
    """``make run`` ends with a part that dies, and goes on where it was when it is started again."""
    before = start_stack(WORKER_HANDLER="tests.e2e.slow_handler:work", WORKER_LEASE_SECONDS="3")
    with client(before, "pia") as caller:
        response = caller.responses.create(model=MODEL, input="hello", background=True)
        os.kill(before.pids[part], signal.SIGKILL)
        before.process.wait(30)
        after = start_stack(before.port, WORKER_LEASE_SECONDS="3")
        assert completed(caller, response.id).output_text == "HELLO"
    assert after.stop() == 0


@pytest.fixture(scope="module")
def two_models(start_stack: StartStack) -> Iterator[RunningStack]:
    """A stack with two models, each with a queue and a worker."""
    stack = start_stack(ROUTER_MODELS="tinyllama,org/loud=loud")
    yield stack
    assert stack.stop() == 0


def test_a_call_that_outlasts_25_seconds_is_one_try(two_models: RunningStack) -> None:
    """Where responses are streamed, white space keeps the line open; elsewhere the client would have to repeat."""
    stack = two_models
    os.kill(stack.pids["worker"], signal.SIGSTOP)
    seen: list[httpx.Request] = []
    http = openai.DefaultHttpxClient(event_hooks={"request": [seen.append]})
    with client(stack, "quy", http_client=http) as caller:
        waker = subprocess.Popen(
            [sys.executable, "-c", f"import os,time;time.sleep(32);os.kill({stack.pids['worker']},18)"]
        )
        response = caller.responses.create(model=MODEL, input="hello")
        waker.wait()
        assert response.output_text == "HELLO"
    assert [request.headers["x-stainless-retry-count"] for request in seen] == ["0"]
    with stack.caller("quy") as curl:
        assert [job["status"] for job in curl.get("/v1/jobs").json()["data"]] == ["completed"]


def test_each_model_has_its_own_worker(two_models: RunningStack) -> None:
    with client(two_models, "sue") as caller:
        assert [model.id for model in caller.models.list()] == [MODEL, "org/loud"]
        assert caller.models.retrieve("org/loud").id == "org/loud"
        answers = [caller.responses.create(model=model, input="hello").output_text for model in (MODEL, "org/loud")]
    assert answers == ["HELLO", "HELLO"]
    assert {"worker", "worker-loud"} <= two_models.pids.keys()


def test_the_readmes_first_example_prints_the_models_words(stack: RunningStack) -> None:
    readme = (ROOT / "README.md").read_text()
    example = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert example is not None
    program = example[1].replace("http://127.0.0.1:8000", stack.url).replace('token"', f'token PORT={stack.port}"')
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(os.environ) | {"TOKEN": stack.token("roy")},  # noqa: TID251  for a child
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip().isupper()


def test_the_pages_example_with_curl_prints_words_one_after_the_other(stack: RunningStack) -> None:
    page = (ROOT / "docs/openai.md").read_text()
    example = re.search(r"```sh\n(curl -N [^`]*/v1/responses.*?)```", page, re.DOTALL)
    assert example is not None
    command = example[1].replace("http://127.0.0.1:8000", "$API").replace("$(make -s token)", "$TOKEN")
    ran = subprocess.run(
        ["sh", "-c", command],
        env=dict(os.environ) | {"API": stack.url, "TOKEN": stack.token("tea")},  # noqa: TID251  for a child
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [line.removeprefix("data: ") for line in ran.stdout.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    words = [event["delta"] for event in map(json.loads, lines) if event["type"] == "response.output_text.delta"]
    assert len(words) > 1
    assert "".join(words) == "WHY IS THE SKY BLUE?"
