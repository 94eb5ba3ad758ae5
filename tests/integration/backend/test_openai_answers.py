"""lambda_router_worker.backend.openai_backend: a job as a chat completion, and the answer as a result."""

import asyncio
import gzip
import json
import zlib
from typing import Any

import pytest

from lambda_router_queue.models import TextResult
from lambda_router_worker.job import Job
from tests.integration.backend.openai_jobs import TRACE, answering, ask, job_of, sending, streaming, with_backend
from tests.model_servers import (
    GREETING,
    USAGE,
    USAGE_CHUNK,
    Call,
    Script,
    chunk,
    completion,
    event,
    model_server,
)

RESULT = {"text": "Grüße!", "finish_reason": "stop", "model": "tinyllama-1.1b", "usage": USAGE}

# Requests

MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}]
SAMPLING = {"max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "stop": ["\n"], "seed": 3}

REQUESTS: dict[str, tuple[Job, dict[str, Any]]] = {
    "prompt": (
        job_of(prompt="hello", max_tokens=256),
        {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 256},
    ),
    "prompt with system": (
        job_of(prompt="hello", system="Be brief."),
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]},
    ),
    "chat": (job_of("chat", messages=MESSAGES), {"messages": MESSAGES}),
    "all sampling": (job_of(prompt="x", **SAMPLING), {"messages": [{"role": "user", "content": "x"}]} | SAMPLING),
    "chat with sampling": (job_of("chat", messages=MESSAGES, **SAMPLING), {"messages": MESSAGES} | SAMPLING),
    "zeros": (
        job_of(prompt="x", temperature=0.0, seed=0),
        {"messages": [{"role": "user", "content": "x"}], "temperature": 0.0, "seed": 0},
    ),
    "unknown members stay home": (
        job_of(prompt="x", best_of=4, user="alice", stream=False, model="other", stream_options={}),
        {"messages": [{"role": "user", "content": "x"}]},
    ),
    "half a surrogate": (job_of(prompt="\ud83d"), {"messages": [{"role": "user", "content": "\ud83d"}]}),
}


def sent_for(job: Job, path: str = "/v1", **options: Any) -> Call:
    """The request that the server sees."""
    with model_server() as server:
        with_backend(lambda backend: backend(job), server.base_url.removesuffix("/v1") + path, **options)
        [call] = server.seen
    return call


@pytest.mark.parametrize(("job", "body"), REQUESTS.values(), ids=REQUESTS.keys())
def test_a_job_becomes_a_request_for_a_stream(job: Job, body: dict[str, Any]):
    call = sent_for(job)
    assert (call.method, call.headers["content-type"]) == ("POST", "application/json")
    always = {"model": "tinyllama", "stream": True, "stream_options": {"include_usage": True}}
    assert call.json == always | body


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/some/path/v1//", "/some/path/v1/chat/completions"),
        ("", "/chat/completions"),
    ],
    ids=["usual", "slash", "path", "bare host"],
)
def test_the_address_is_below_the_base_url(path: str, asked: str):
    assert sent_for(job_of(prompt="x"), path).path == asked


def test_the_trace_goes_on_to_the_server():
    assert sent_for(job_of(prompt="x")).headers["traceparent"] == TRACE


def test_nothing_about_the_caller_goes_to_the_server():
    call = sent_for(job_of(prompt="x"))
    text = call.body.decode() + str(call.headers)
    for private in ("owner", "private", "to the caller", "job_0", "authorization"):
        assert private not in text.lower()


def test_the_key_is_sent_as_bearer():
    assert sent_for(job_of(prompt="x"), api_key="sk-of-a-test").headers["authorization"] == "Bearer sk-of-a-test"


def test_no_cookie_is_sent_back():
    def script(call: Call) -> None:
        call.head(200, Set_Cookie="server=7; Path=/", Content_Length="0")

    async def twice(backend: Any) -> None:
        await asyncio.gather(backend(job_of(prompt="x")), return_exceptions=True)
        await asyncio.gather(backend(job_of(prompt="x")), return_exceptions=True)

    with model_server(script) as server:
        with_backend(twice, server.base_url)
        assert [call.headers.get("cookie") for call in server.seen] == [None, None]


@pytest.mark.parametrize("given", [{}, {"prompt": ""}, {"prompt": None}, {"messages": []}, {"image": "…"}])
def test_a_job_without_anything_to_say_is_never_sent(given: dict[str, Any]):
    with model_server() as server, pytest.raises(Exception) as raised:  # noqa: PT011 (its code is looked at)
        with_backend(lambda backend: backend(job_of("image", **given)), server.base_url)
    assert getattr(raised.value, "code", None) == "unsupported_type"
    assert server.seen == []


# Streams

BYTES = b"".join([*map(event, GREETING), event("[DONE]")])

STREAMS: dict[str, Script] = {
    "as it should be": streaming(*GREETING),
    "byte by byte": sending(*(BYTES[at : at + 1] for at in range(len(BYTES)))),
    "in one piece": sending(BYTES),
    "CRLF": sending(BYTES.replace(b"\n", b"\r\n")),
    "CRLF, byte by byte": sending(*(bytes([byte]) for byte in BYTES.replace(b"\n", b"\r\n"))),
    "CR": sending(BYTES.replace(b"\n", b"\r")),
    "no space behind the colon": sending(BYTES.replace(b"data: ", b"data:")),
    "comments": sending(b": ping\n\n", BYTES.replace(b"\n\n", b"\n: ping\n\n")),
    "other fields": sending(BYTES.replace(b"data: ", b"id: 7\nretry: 3\nevent: message\nnonsense\ndata: ")),
    "a byte order mark": sending(b"\xef\xbb\xbf" + BYTES),
    "empty data": sending(b"data:\n\ndata: \n\n", BYTES),
    "several lines of data": sending(BYTES.replace(b'"choices"', b'\ndata: "choices"')),
    "no [DONE]": lambda call: call.stream(GREETING, done=False),
    "no empty line at the end": sending(BYTES.removesuffix(event("[DONE]")).removesuffix(b"\n\n")),
    "[DONE] without an end": sending(BYTES.removesuffix(b"\n\n")),
    "white space first": sending(b"\n" * 70_000, BYTES),
    "the wrong content type": lambda call: call.answer(200, BYTES),
    "no choices in between": streaming({"object": "ping"}, *GREETING),
    "an error that is null": streaming(*({**piece, "error": None} for piece in GREETING)),
    "NaN among logprobs": sending(BYTES.replace(b'"index": 0', b'"index": 0, "logprobs": [NaN, Infinity]')),
    "another choice": streaming(*GREETING[:2], {"choices": [{"index": 1, "delta": {"content": "?"}}]}, *GREETING[2:]),
    "gzip": sending(gzip.compress(BYTES), Content_Encoding="gzip"),
    "gzip, byte by byte": sending(*(bytes([byte]) for byte in gzip.compress(BYTES)), Content_Encoding="gzip"),
    "deflate": sending(zlib.compress(BYTES), Content_Encoding="deflate"),
}


@pytest.mark.parametrize("script", STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_becomes_one_result(script: Script):
    assert ask(script) == RESULT


def test_a_connection_that_ends_with_the_answer_is_an_end():
    def script(call: Call) -> None:
        call.head(200, Content_Type="text/event-stream", Connection="close")
        call.send(BYTES.removesuffix(event("[DONE]")))
        call.drop()

    assert ask(script) == RESULT


def test_a_server_that_goes_silent_after_the_end_costs_a_second_at_most():
    def script(call: Call) -> None:
        call.begin_stream()
        call.piece(BYTES)
        call.wait_for_hangup()

    assert ask(script) == RESULT


def test_a_stream_that_breaks_after_the_model_stopped_is_an_answer():
    def script(call: Call) -> None:
        call.begin_stream()
        call.piece(b"".join(map(event, GREETING[:4])))
        call.reset()

    assert ask(script) == RESULT | {"usage": None}


def test_what_a_stream_leaves_out_is_null():
    assert ask(streaming({"choices": [{"delta": {"content": "hi"}}]})) == {
        "text": "hi",
        "finish_reason": None,
        "model": None,
        "usage": None,
    }


CONTENTS: dict[str, tuple[Any, str]] = {
    "text": ("hi", "hi"),
    "null": (None, ""),
    "parts": ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
    "texts": (["a", "b"], "ab"),
    "other parts": ([{"type": "image_url", "image_url": {}}, None, {"text": "a"}], "a"),
    "number": (7, "7"),
    "decimal": (0.5, "0.5"),
    "true": (True, "true"),
    "half a surrogate": ("a\ud83db", "a\ufffdb"),
    "a pair": ("\U0001f600", "\U0001f600"),
    "NUL": ("a\0b", "a\0b"),
}


@pytest.mark.parametrize(("content", "text"), CONTENTS.values(), ids=CONTENTS.keys())
def test_any_content_becomes_text(content: Any, text: str):
    assert ask(answering(200, completion(content)))["text"] == text
    assert ask(streaming(chunk(content=content), chunk(finish_reason="stop")))["text"] == text


def test_a_pair_of_surrogates_may_come_in_two_pieces():
    assert ask(streaming(chunk("\ud83d"), chunk("\ude00")))["text"] == "\U0001f600"


def test_reasoning_is_not_part_of_the_text():
    pieces = [chunk(None, reasoning_content="Let me think"), chunk(None, reasoning="…"), *GREETING]
    assert ask(streaming(*pieces)) == RESULT
    assert ask(answering(200, completion("Grüße!", reasoning_content="Let me think"))) == RESULT
    assert ask(answering(200, completion(None, reasoning="Let me think")))["text"] == ""


WEATHER = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}}
CLOCK = {"id": "call_2", "type": "function", "function": {"name": "clock", "arguments": ""}}


def test_tool_calls_are_put_together():
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    second = {"index": 1, "id": "call_2", "function": {"name": "clock", "arguments": None}}
    pieces = [
        chunk(None, tool_calls=[first]),
        chunk(None, tool_calls=[{"index": 0, "function": {"arguments": '{"city": '}}]),
        chunk(None, tool_calls=[second]),
        chunk(None, tool_calls=[{"index": 0, "function": {"arguments": '"Köln"}'}}]),
        chunk(finish_reason="tool_calls"),
    ]
    result = ask(streaming(*pieces))
    assert (result["text"], result["finish_reason"], result["tool_calls"]) == ("", "tool_calls", [WEATHER, CLOCK])
    assert ask(answering(200, completion(None, tool_calls=[WEATHER, CLOCK])))["tool_calls"] == [WEATHER, CLOCK]


def test_the_result_has_the_members_that_the_openapi_document_names():
    whole = ask(answering(200, completion(None, tool_calls=[WEATHER])))
    assert whole.keys() == TextResult.model_fields.keys()
    TextResult.model_validate(whole)


def test_tool_calls_without_an_index_are_told_apart_by_their_ids():
    pieces = [chunk(None, tool_calls=[{"index": 0, **call}]) for call in (WEATHER, CLOCK)]
    assert ask(streaming(*pieces))["tool_calls"] == [WEATHER, CLOCK]


def test_arguments_that_are_no_text_become_json():
    call = {"function": {"name": "weather", "arguments": {"city": "Bonn"}}}
    [found] = ask(answering(200, completion(None, tool_calls=[call, None])))["tool_calls"]
    assert json.loads(found["function"]["arguments"]) == {"city": "Bonn"}


USAGES: dict[str, bytes] = {
    "NaN": b'{"total_tokens": NaN}',
    "infinity": b'{"deep": {"er": [-Infinity]}}',
    "too large a number": b'{"total_tokens": 1e999}',
    "text": b'"many"',
    "list": b"[1, 2]",
    "a page": b'{"a": "' + b"x" * 20_000 + b'"}',
}


@pytest.mark.parametrize("usage", USAGES.values(), ids=USAGES.keys())
def test_figures_that_are_none_do_not_cost_the_answer(usage: bytes):
    whole = json.dumps(completion("Grüße!") | {"usage": "HERE"}).encode().replace(b'"HERE"', usage)
    assert ask(answering(200, whole)) == RESULT | {"usage": None}
    last = json.dumps(USAGE_CHUNK | {"usage": "HERE"}).encode().replace(b'"HERE"', usage)
    stream = b"".join([*map(event, GREETING[:4]), b"data: " + last + b"\n\n", event("[DONE]")])
    assert ask(sending(stream)) == RESULT | {"usage": None}


# Servers that do not stream


def test_plain_json_is_understood():
    assert ask(answering(200, completion("Grüße!"))) == RESULT
    assert ask(answering(201, b"\xef\xbb\xbf \n" + json.dumps(completion("Grüße!")).encode())) == RESULT


def test_the_first_of_several_choices_counts():
    choices = [{"message": {"content": text}} for text in ("first", "second")]
    assert ask(answering(201, {"choices": choices}))["text"] == "first"


def test_a_server_without_stream_options_is_asked_once_without_them_and_that_is_remembered():
    def script(call: Call) -> None:
        if "stream_options" in call.json:
            call.answer(400, {"error": {"message": "unknown member stream_options"}})
        else:
            call.stream()

    async def twice(backend: Any) -> Any:
        return [await backend(job_of(prompt=prompt)) for prompt in ("a", "b")]

    with model_server(script) as server:
        assert with_backend(twice, server.base_url) == [RESULT, RESULT]
        assert [(call.prompt, "stream_options" in call.json) for call in server.seen] == [
            ("a", True),
            ("a", False),
            ("b", False),
        ]


def test_a_server_that_took_stream_options_once_is_not_asked_without_them():
    def script(call: Call) -> None:
        call.answer(400) if call.prompt == "bad" else call.stream()

    async def both(backend: Any) -> None:
        await backend(job_of(prompt="good"))
        await asyncio.gather(backend(job_of(prompt="bad")), return_exceptions=True)

    with model_server(script) as server:
        with_backend(both, server.base_url)
        assert [call.prompt for call in server.seen] == ["good", "bad"]
