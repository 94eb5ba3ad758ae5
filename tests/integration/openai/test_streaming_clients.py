"""OpenAI's Python client reads the streams of a real worker's output."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from chalicelib.wiring import Services
from lambda_router_worker.job import Job
from tests.conftest import Router
from tests.integration.openai.openai_calls import MODEL, answering, queued
from tests.integration.openai.streaming import StreamingContext, emitted, live
from tests.integration.worker.worker_hand import finish_job

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}}
MESSAGE = {"role": "assistant", "content": "Let me see.", "reasoning_content": "Hmm.", "tool_calls": [CALL]}
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}}


async def weather(job: Job) -> dict[str, Any]:
    """Think, talk and call, piece by piece."""
    for delta in (
        {"reasoning": "Hm"},
        {"reasoning": "m."},
        "Let me ",
        "see.",
        {"tool_call": {"index": 0, "id": "call_1", "name": "weather", "arguments": ""}},
        {"tool_call": {"index": 0, "arguments": '{"city": '}},
        {"tool_call": {"index": 0, "arguments": '"Köln"}'}},
    ):
        await job.emit(delta)
        await asyncio.sleep(0.06)
    return {"text": "Let me see.", "finish_reason": "tool_calls", "usage": USAGE, "message": MESSAGE}


class _Body(httpx2.SyncByteStream):
    """The pieces of a streamed body, closed at the end as their sender does."""

    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces

    def close(self) -> None:
        self._pieces.close()


@pytest.fixture
def client(router: Router) -> Iterator[OpenAI]:
    """The client, over the app's entry point instead of a socket."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        query = {name: request.url.params.get_list(name) for name in request.url.params}
        added = {"authorization", "content-length", "content-type", "user-agent"}
        sent = {name: value for name, value in request.headers.items() if name not in added}
        path, body = request.url.path, request.read() or None
        reply: Any = router.call(
            request.method, path, body, headers={**sent}, query=query or None, context=StreamingContext()
        )
        body = reply.body.encode() if isinstance(reply.body, str) else None
        stream = {} if body is not None else {"stream": _Body(reply.body)}
        return httpx2.Response(reply.status, headers=reply.headers, content=body, **stream)

    token = router.token or ""
    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
        yield OpenAI(base_url="http://router/v1", api_key=token, http_client=http, max_retries=0)


def test_the_helper_for_responses_puts_a_stream_together(client: OpenAI, redis_url: str) -> None:
    with answering(redis_url, weather):
        with client.responses.stream(model=MODEL, input="hello", tools=[TOOL]) as stream:  # type: ignore[list-item]
            texts = [event.delta for event in stream if event.type == "response.output_text.delta"]
            final = stream.get_final_response()
        again = [event.type for event in client.responses.retrieve(final.id, stream=True, starting_after=2)]
    assert "".join(texts) == final.output_text == "Let me see."
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert (again[0], again[-1]) == ("response.output_item.added", "response.completed")


def test_the_helper_for_responses_takes_up_a_stream_again(client: OpenAI, redis_url: str) -> None:
    first = client.responses.create(model=MODEL, input="hello", background=True)
    with (
        answering(redis_url, weather),
        client.responses.stream(response_id=first.id, starting_after=3) as stream,
    ):
        numbers = [event.sequence_number for event in stream]
        assert numbers == list(range(4, numbers[-1] + 1))
        assert stream.get_final_response().output_text == "Let me see."


def test_the_helper_for_chats_puts_a_stream_together(client: OpenAI, redis_url: str) -> None:
    user: Any = {"role": "user", "content": "hello"}
    options: Any = {"include_usage": True}
    with (
        answering(redis_url, weather),
        client.chat.completions.stream(model=MODEL, messages=[user], stream_options=options) as stream,
    ):
        completion = stream.get_final_completion()
    message = completion.choices[0].message
    assert (message.content, completion.choices[0].finish_reason) == ("Let me see.", "tool_calls")
    assert message.tool_calls[0].function.arguments == '{"city": "Köln"}'  # type: ignore[index,union-attr]
    assert completion.usage is not None
    assert completion.usage.total_tokens == 3


def test_the_client_raises_where_a_stream_breaks_off(
    client: OpenAI, router: Router, services: Services, redis_url: str
) -> None:
    user: Any = {"role": "user", "content": "hello"}
    with live(services, emitted({"text": "x"}, None), is_final=False):
        with pytest.raises(openai.APIError, match="GET /v1/responses/resp_"):
            list(client.responses.create(model=MODEL, input="hello", stream=True))
        with pytest.raises(openai.APIError, match="GET /v1/jobs/job_"):
            list(client.chat.completions.create(model=MODEL, messages=[user], stream=True))


def test_a_failed_response_is_an_event_that_the_client_reads(
    client: OpenAI, router: Router, services: Services, redis_url: str
) -> None:
    response_id = queued(router)
    finish_job(redis_url, error={"code": "x", "message": "No."})
    *_, last = client.responses.retrieve(response_id, stream=True)
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.message == "x: No."
