"""chalicelib.openai.completion_stream: a chat completion as chunks that OpenAI's client and its schema accept."""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from openai.types.chat import ChatCompletionChunk

from chalicelib.openai.chat_results import BrokenOff
from chalicelib.openai.completion_object import completion_of
from chalicelib.openai.completion_stream import CompletionStream
from tests import corpora
from tests.unit.openai.examples import DIGITS, USAGE, answered, job
from tests.unit.openai.streaming import HOSTILE, TEXT, THOUGHT, attempts, call, called

CALLS = [call("f", '{"a":1}', "call_1"), call("g", "{}")]
CALLING = [called(0, id="call_1", name="f"), called(1, "{", name="g"), called(0, '{"a":1}'), called(1, "}")]
RUNS: dict[str, tuple[list[Any], Any]] = {
    "text": ([{"text": "Ra"}, {"text": "in."}], answered()),
    "all": ([THOUGHT, TEXT, *CALLING], answered(finish_reason="x", reasoning_content="Hmm.", tool_calls=CALLS)),
    "nothing emitted": ([], answered(reasoning_content="Hmm.", tool_calls=CALLS)),
    "a missing tail": ([{"text": "Ra"}], answered()),
    "length": ([TEXT], answered(finish_reason="length")),
    "an empty answer": ([], answered("")),
    "another attempt before anything was shown": ([{"colour": "red"}, None, TEXT], answered()),
}
every_run = pytest.mark.parametrize(("deltas", "result"), RUNS.values(), ids=RUNS)


def streamed(deltas: Iterable[Any], end: Any, **options: Any) -> list[dict[str, Any]]:
    stream = CompletionStream(job("queued"), "m", **options)
    chunks = [*stream.begin(), *stream.started()]
    try:
        for delta in deltas:
            chunks += stream.take(delta)
        chunks += stream.finish(end)
    except BrokenOff as off:
        chunks.append(stream.broken(off))
    return chunks


def put_together(chunks: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The message that a client makes of the chunks."""
    message: dict[str, Any] = {"content": "", "reasoning_content": "", "tool_calls": {}}
    for delta in (choice["delta"] for chunk in chunks for choice in chunk["choices"]):
        for name in ("content", "reasoning_content"):
            message[name] += delta.get(name) or ""
        for made in delta.get("tool_calls", ()):
            known = message["tool_calls"].setdefault(made["index"], {"arguments": ""})
            known |= {name: made[name] for name in ("id", "type") if name in made}
            known["arguments"] += made["function"]["arguments"]
            known |= {"name": made["function"]["name"]} if "name" in made["function"] else {}
    return message


@cache
def openais_schema() -> Any:
    """The schema of a chunk, which says ``nullable`` as OpenAPI 3.0 does."""
    components = with_nulls(json.loads(corpora.RESPONSES.place().read_text())["components"])
    schema = {"$ref": "#/components/schemas/CreateChatCompletionStreamResponse", "components": components}
    return jsonschema_rs.Draft202012Validator(schema)


def with_nulls(node: Any) -> Any:
    if isinstance(node, list):
        return [with_nulls(each) for each in node]
    if not isinstance(node, dict):
        return node
    schema = {name: with_nulls(value) for name, value in node.items()}
    return {"anyOf": [schema, {"type": "null"}]} if schema.get("nullable") is True else schema


@every_run
@pytest.mark.parametrize("with_usage", [False, True])
def test_openais_client_and_its_schema_accept_every_chunk(deltas: list[Any], result: Any, with_usage: bool) -> None:
    for chunk in streamed(deltas, job(result=result), with_usage=with_usage):
        assert ChatCompletionChunk.model_validate(chunk, strict=True).id == f"chatcmpl-{DIGITS}"
        assert [str(error) for error in openais_schema().iter_errors(chunk)] == []


@every_run
def test_the_chunks_add_up_to_the_completion(deltas: list[Any], result: Any) -> None:
    chunks = streamed(deltas, job(result=result))
    whole = completion_of(job(result=result), "m").choices[0]
    made = put_together(chunks)
    assert made["content"] == (whole["message"]["content"] or "")
    assert made["reasoning_content"] == whole["message"].get("reasoning_content", "")
    assert list(made["tool_calls"].values()) == [
        {"id": each["id"], "type": "function"} | each["function"] for each in whole["message"].get("tool_calls", [])
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + [
        whole["finish_reason"]
    ]


def test_the_role_comes_first_and_alone() -> None:
    first, *others = streamed([TEXT], job(result=answered()))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert not any("role" in chunk["choices"][0]["delta"] for chunk in others)


def test_usage_comes_last_and_only_if_it_is_wanted() -> None:
    *others, last = streamed([TEXT], job(result=answered()), with_usage=True)
    assert (last["choices"], last["usage"]) == ([], USAGE)
    assert {chunk["usage"] for chunk in others} == {None}
    assert not any("usage" in chunk for chunk in streamed([TEXT], job(result=answered())))


@pytest.mark.parametrize(
    ("deltas", "end", "code", "is_fetchable"),
    [
        ([TEXT], job("failed", error={"code": "backend_refused", "message": "No."}), "backend_refused", False),
        ([], job("expired"), "expired", False),
        ([TEXT], job("cancelled"), "cancelled", False),
        ([TEXT], job(store=False), "not_found", False),
        ([TEXT, None], job(result=answered()), "restarted", True),
        ([{"text": "Sun."}], job(result=answered()), "changed", True),
    ],
    ids=["failed", "expired", "cancelled", "read by another", "restarted", "changed"],
)
def test_a_stream_without_a_completion_ends_with_an_error(
    deltas: list[Any], end: Any, code: str, is_fetchable: bool
) -> None:
    *_, last = streamed(deltas, end)
    assert last.keys() == {"error"}
    assert (last["error"]["code"], last["error"]["type"], last["error"]["param"]) == (code, "server_error", None)
    assert last["error"]["message"].endswith(f"GET /v1/jobs/job_{DIGITS}") == is_fetchable


@pytest.mark.parametrize("delta", HOSTILE, ids=repr)
def test_a_delta_of_another_form_is_skipped(delta: Any) -> None:
    assert streamed([delta, TEXT, delta], job(result=answered())) == streamed([TEXT], job(result=answered()))


@given(attempt=attempts())
def test_chunks_add_up_however_they_are_cut(attempt: tuple[list[Any], Any]) -> None:
    deltas, result = attempt
    chunks = streamed(deltas, job(result=result))
    assert put_together(chunks)["content"] == (result["message"]["content"] or "")
    assert chunks[-1]["choices"][0]["finish_reason"] == result["finish_reason"]
