"""OpenAI's own Python client reads responses and chats while their words come, from the stack of ``make run``."""

import asyncio
import json
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import openai
import pytest

from tests import npm
from tests.e2e.calling_model import MODEL, REASONING, text_of
from tests.e2e.live import FINAL, Live, create, deltas, events_of, read_words, retrieve, whole
from tests.e2e.running_stack import submit
from tests.patience import eventually

WEATHER: dict[str, Any] = {
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
JAVASCRIPT = Path(__file__).with_name("javascript")
ARGUMENTS = '{"city": "K\\u00f6ln"}'


def test_words_arrive_while_the_response_is_in_progress(live: Live) -> None:
    prompt = "held one two three"
    with live.client("ada") as caller, closing(create(caller, prompt)) as come:
        events = [next(come)]
        for count in (1, 2):
            live.model.let_go(prompt, 1)
            while len("".join(deltas(events)).split()) < count:
                events.append(next(come))
            assert caller.responses.retrieve(events[0].response.id).status == "in_progress"
        live.model.let_go(prompt)
        events += come
        assert whole(events) == text_of(prompt)
        assert events[-1].response.to_dict() == caller.responses.retrieve(events[0].response.id).to_dict()


def test_the_first_events_come_before_a_worker_has_begun(live: Live) -> None:
    """Twenty held prompts keep every place of the worker."""
    prompts = [f"held {number}" for number in range(20)]
    with live.client("abe") as busy, live.client("ben") as caller:
        for prompt in prompts:
            busy.responses.create(model=MODEL, input=prompt, background=True)
        assert eventually(lambda: all(map(live.model.attempts, prompts)), 30)
        with closing(create(caller, "hello")) as come:
            first = [next(come), next(come)]
            assert [event.type for event in first] == ["response.created", "response.queued"]
            for prompt in prompts:
                live.model.let_go(prompt)
            assert whole([*first, *come]) == "HELLO"


def test_the_helper_returns_the_final_response(live: Live) -> None:
    with live.client("bob") as caller, caller.responses.stream(model=MODEL, input="hello you") as come:
        assert "".join(event.delta for event in come if event.type == "response.output_text.delta") == "HELLO YOU"
        assert come.get_final_response().output_text == "HELLO YOU"


def test_reasoning_comes_before_the_text(live: Live) -> None:
    with live.client("cat") as caller:
        events = list(create(caller, "think so"))
    assert whole(events) == "THINK SO"
    assert "".join(event.delta for event in events if event.type == "response.reasoning_text.delta") == REASONING
    assert [item.type for item in events[-1].response.output] == ["reasoning", "message"]


def test_a_call_of_a_function_comes_in_pieces(live: Live) -> None:
    tools: list[Any] = [{"type": "function", "strict": False} | WEATHER]
    with live.client("dan") as caller:
        events = list(create(caller, "weather?", tools=tools))
        with caller.responses.stream(model=MODEL, input="weather?", tools=tools) as come:
            helped: Any = come.get_final_response().output[0]
    assert whole(events) == ""
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    (done,) = [event for event in events if event.type == "response.function_call_arguments.done"]
    (item,) = events[-1].response.output
    assert ("".join(pieces), done.arguments, item.arguments, helped.arguments) == (ARGUMENTS,) * 4
    assert (item.type, item.name) == ("function_call", "weather")


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        ({"prompt": "one two three"}, "response.completed", "ONE TWO THREE"),
        ({"prompt": " ".join("x" * 300), "max_output_tokens": 16}, "response.incomplete", " ".join("X" * 16)),
        ({"prompt": "rejected"}, "response.failed", ""),
    ],
    ids=["completed", "incomplete", "failed"],
)
def test_a_stream_ends_as_its_response_does(live: Live, call: dict[str, Any], kind: str, text: str) -> None:
    with live.client("eve") as caller:
        events = list(create(caller, **call))
        now = caller.responses.retrieve(events[0].response.id)
    assert (whole(events), events[-1].type, f"response.{now.status}") == (text, kind, kind)


def test_a_response_that_is_cancelled_ends_its_stream(live: Live) -> None:
    prompt = "held and cancelled"
    with live.client("fay") as caller:
        come = create(caller, prompt, background=True)
        events = [next(come)]
        live.model.let_go(prompt, 1)
        while events[-1].type != "response.output_text.delta":
            events.append(next(come))
        caller.responses.cancel(events[0].response.id)
        events += come
        assert (events[-1].type, events[-1].response.status) == ("response.failed", "cancelled")
        assert [event.type for event in events if event.type in FINAL] == ["response.failed"]
    assert eventually(lambda: prompt in live.model.hung_up, 30), "the worker goes on"


def test_a_second_attempt_ends_the_stream_with_an_error_that_names_the_response(live: Live) -> None:
    with live.client("gus") as caller:
        come = create(caller, "busy at first")
        first = next(come)
        with pytest.raises(openai.APIError, match=f"GET /v1/responses/{first.response.id}") as raised:
            list(come)
        assert raised.value.code == "restarted"
        assert live.final(caller, first.response.id).output_text == text_of("busy at first", 2)
        for number in (3, 5, 99):
            with pytest.raises(openai.APIError, match=first.response.id):
                list(retrieve(caller, first.response.id, starting_after=number))
        assert whole(list(retrieve(caller, first.response.id))) == text_of("busy at first", 2)
        with (
            pytest.raises((openai.APIError, RuntimeError)),
            caller.responses.stream(model=MODEL, input="busy too") as it,
        ):
            it.get_final_response()


def test_a_response_that_is_not_stored_is_gone_once_it_was_streamed(live: Live) -> None:
    with live.client("hal") as caller, live.stack.caller("hal") as curl:
        events = list(create(caller, "hello", store=False))
        assert whole(events) == "HELLO"
        with pytest.raises(openai.NotFoundError):
            caller.responses.retrieve(events[0].response.id)
        page = events_of(curl, events[0].response.id.replace("resp_", "job_"))
        assert [(event["type"], event["job"]["result"]) for event in page["data"]] == [("job", None)]


def test_a_caller_who_leaves_frees_the_place_and_the_job_goes_on(live: Live) -> None:
    prompts = [f"held by ida {number}" for number in range(9)]
    with live.client("ida") as caller, ExitStack() as open_streams:
        streams = [create(caller, prompt) for prompt in prompts[:8]]
        for stream in streams:
            open_streams.enter_context(closing(stream))
        with pytest.raises(openai.RateLimitError) as raised:
            create(caller, prompts[8])
        assert raised.value.code == "too_many_held"
        with live.stack.caller("ida") as curl:
            assert len(curl.get("/v1/jobs").json()["data"]) == 8
        left = next(streams[0]).response.id
        streams[0].close()

        def again() -> Any:
            try:
                return create(caller, "hello")
            except openai.RateLimitError:
                return None

        assert whole(list(eventually(again, 12))) == "HELLO"
        for prompt in prompts:
            live.model.let_go(prompt)
        assert live.final(caller, left).output_text == text_of(prompts[0])


def test_chats_stream_with_their_usage_and_their_calls(live: Live) -> None:
    messages: list[Any] = [{"role": "user", "content": "think one two"}]
    with live.client("jon") as caller:
        chunks = list(
            caller.chat.completions.create(
                model=MODEL, messages=messages, stream=True, stream_options={"include_usage": True}
            )
        )
        tools: list[Any] = [{"type": "function", "function": WEATHER}]
        with caller.chat.completions.stream(model=MODEL, messages=messages, tools=tools) as come:
            (call,) = come.get_final_completion().choices[0].message.tool_calls or []
        plain = list(caller.chat.completions.create(model=MODEL, messages=messages, stream=True))
    choices = [chunk.choices[0] for chunk in chunks[:-1]]
    assert choices[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for choice in choices) == text_of("think one two")
    assert "".join(getattr(choice.delta, "reasoning_content", None) or "" for choice in choices) == REASONING
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    assert (chunks[-1].choices, chunks[-1].usage and chunks[-1].usage.total_tokens) == ([], 5)
    assert len({chunk.id for chunk in chunks}) == 1
    assert (call.function.name, call.function.arguments) == ("weather", ARGUMENTS)
    assert all(chunk.usage is None for chunk in plain)


def test_a_chats_words_arrive_one_by_one_and_its_failure_is_raised(live: Live) -> None:
    prompt = "held in a chat"
    with live.client("kim") as caller:

        def chat(text: str) -> Any:
            messages: list[Any] = [{"role": "user", "content": text}]
            return caller.chat.completions.create(model=MODEL, messages=messages, stream=True)

        come = (chunk.choices[0].delta.content or "" for chunk in chat(prompt))
        text = ""
        for count in (1, 2, 3, 4):
            live.model.let_go(prompt, 1)
            text += read_words(come, 1)
            assert len(text.split()) == count
        assert text + "".join(come) == text_of(prompt)
        for failing in ("rejected in a chat", "busy in a chat"):
            with pytest.raises(openai.APIError):
                list(chat(failing))


def test_the_async_client_has_many_streams_at_once(live: Live) -> None:
    async def one(caller: openai.AsyncOpenAI, prompt: str) -> str:
        come = await create(caller, prompt)
        return whole([event async for event in come])

    async def all_of(prompts: list[str]) -> list[str]:
        async with live.async_client("lea") as caller:
            return list(await asyncio.gather(*(one(caller, prompt) for prompt in prompts)))

    prompts = [f"text {number}" for number in range(6)]
    assert asyncio.run(all_of(prompts)) == [text_of(prompt) for prompt in prompts]


def test_a_job_of_the_jobs_api_is_no_response_to_stream(live: Live) -> None:
    with live.client("mia") as caller, live.stack.caller("mia") as curl:
        job_id = submit(curl).json()["id"]
        with pytest.raises(openai.NotFoundError):
            retrieve(caller, job_id.replace("job_", "resp_"))


def test_the_javascript_client_reads_streams(live: Live) -> None:
    npm.install(JAVASCRIPT)
    ran = npm.run(JAVASCRIPT, "node", "streams.mjs", live.url, live.stack.token("ola"))
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    for name in ("restarted", "helperRestarted", "chatRestarted"):
        code, message = said.pop(name)
        assert code == "restarted", name
        assert "GET /v1/" in message, name
    assert said == {
        "first": ["response.created", "response.queued", "response.in_progress"],
        "last": ["response.completed", "HELLO YOU"],
        "text": "HELLO YOU",
        "numbered": True,
        "resumed": True,
        "helper": "HELLO YOU",
        "helped": "HELLO YOU",
        "called": [["function_call", "weather", ARGUMENTS]],
        "chat": "HELLO YOU",
        "usage": [0, 5],
        "chatCalled": [ARGUMENTS],
        "beyond": "invalid_value",
    }
