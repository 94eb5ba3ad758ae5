"""chalicelib.openai.members: every member of a request is honoured, or refused by name; none is silently ignored."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletionStreamOptionsParam
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.responses import (
    FunctionToolParam,
    ResponseFunctionToolCallParam,
    ResponseOutputMessageParam,
    ResponseOutputTextParam,
    ResponseReasoningItemParam,
    ResponseTextConfigParam,
)
from openai.types.responses.response_create_params import BackgroundOptions as BackgroundOptionsParam
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from openai.types.responses.response_create_params import StreamOptions as StreamOptionsParam
from openai.types.responses.response_input_item_param import FunctionCallOutput as FunctionCallOutputParam
from openai.types.shared_params.reasoning import Reasoning as ReasoningParam
from pydantic import BaseModel, TypeAdapter, ValidationError

from chalicelib.openai.completion_messages import SentBack
from chalicelib.openai.completion_request import CompletionRequest
from chalicelib.openai.completion_request import StreamOptions as CompletionStreamOptions
from chalicelib.openai.input_items import FunctionCall, FunctionCallOutput, MessageItem, OutputText, ReasoningItem
from chalicelib.openai.members import Only, members_of
from chalicelib.openai.response_request import (
    BackgroundOptions,
    FunctionTool,
    Reasoning,
    ResponseRequest,
    StreamOptions,
    TextOptions,
)

REQUESTS: dict[type[BaseModel], dict[str, Any]] = {
    ResponseRequest: {"model": "m", "input": "x"},
    CompletionRequest: {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    FunctionTool: {"type": "function", "name": "f"},
    TextOptions: {},
    Reasoning: {},
    BackgroundOptions: {},
    StreamOptions: {},
    CompletionStreamOptions: {},
    FunctionCall: {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    FunctionCallOutput: {"type": "function_call_output", "call_id": "c", "output": "x"},
    ReasoningItem: {"type": "reasoning"},
    SentBack: {"role": "assistant", "content": "x"},
}


def names(model: type[BaseModel]) -> set[str]:
    return {member.name for member in members_of(model)}


def harmless() -> Iterator[tuple[type[BaseModel], str, Any]]:
    """Every value that changes nothing, of every member that is not supported."""
    for model in REQUESTS:
        for member in members_of(model):
            yield from ((model, member.name, json.loads(value)) for value in member.accepted)


def unsupported() -> Iterator[tuple[type[BaseModel], str]]:
    for model in REQUESTS:
        yield from ((model, member.name) for member in members_of(model) if member.accepted)


def named(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else json.dumps(value, default=sorted)


@pytest.mark.parametrize(
    ("model", "params", "ours"),
    [
        (ResponseRequest, ResponseCreateParamsBase, {"stream", "presence_penalty", "frequency_penalty"}),
        (CompletionRequest, CompletionCreateParamsBase, {"stream"}),
    ],
    ids=named,
)
def test_a_request_has_the_members_of_openais_client(model: type[BaseModel], params: Any, ours: set[str]) -> None:
    assert names(model) == params.__annotations__.keys() | ours


@pytest.mark.parametrize(
    ("model", "params"),
    [
        (FunctionTool, FunctionToolParam),
        (TextOptions, ResponseTextConfigParam),
        (Reasoning, ReasoningParam),
        (BackgroundOptions, BackgroundOptionsParam),
        (StreamOptions, StreamOptionsParam),
        (CompletionStreamOptions, ChatCompletionStreamOptionsParam),
        (FunctionCall, ResponseFunctionToolCallParam),
        (FunctionCallOutput, FunctionCallOutputParam),
        (MessageItem, ResponseOutputMessageParam),
        (OutputText, ResponseOutputTextParam),
        (ReasoningItem, ResponseReasoningItemParam),
    ],
    ids=named,
)
def test_its_parts_have_the_members_of_openais_client(model: type[BaseModel], params: Any) -> None:
    assert names(model) == params.__annotations__.keys()


@pytest.mark.parametrize(("model", "name", "value"), list(harmless()), ids=named)
def test_a_value_that_changes_nothing_is_accepted(model: type[BaseModel], name: str, value: Any) -> None:
    assert model.model_validate(REQUESTS[model] | {name: value}, strict=True)


@pytest.mark.parametrize(("model", "name"), list(unsupported()), ids=named)
def test_another_value_is_refused_by_the_members_name(model: type[BaseModel], name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(REQUESTS[model] | {name: {"another": ["value"]}}, strict=True)
    (fault,) = refused.value.errors()
    assert fault["loc"] == (name,)
    assert "is not supported: omit it" in fault["msg"]


@pytest.mark.parametrize("model", [ResponseRequest, CompletionRequest], ids=named)
def test_a_member_that_openai_lacks_is_refused_by_its_name(model: type[BaseModel]) -> None:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(REQUESTS[model] | {"best_of": 2}, strict=True)
    assert [fault["loc"] for fault in refused.value.errors()] == [("best_of",)]


@pytest.mark.parametrize("model", [ResponseRequest, CompletionRequest], ids=named)
def test_null_is_accepted_for_every_member_that_may_be_omitted(model: type[BaseModel]) -> None:
    nulls = dict.fromkeys(names(model) - REQUESTS[model].keys())
    assert model.model_validate(REQUESTS[model] | nulls, strict=True)


@pytest.mark.parametrize(
    ("accepted", "value"), [(False, 0), (0, False), (1, True), (True, 1), ("a", "A"), ([], {})], ids=named
)
def test_a_value_that_merely_resembles_an_accepted_one_is_refused(accepted: Any, value: Any) -> None:
    with pytest.raises(ValueError, match="or send"):
        Only(accepted).check(value)


def test_what_may_be_sent_is_shown_only_if_there_is_something() -> None:
    with pytest.raises(ValueError, match=r'or send "a" or 1$'):
        Only("a", 1).check(2)
    with pytest.raises(ValueError, match=r"omit it$"):
        Only().check(2)


def test_the_schema_lists_what_is_accepted() -> None:
    schema = TypeAdapter(ResponseRequest).json_schema()
    assert schema["properties"]["truncation"]["enum"] == [None, "disabled"]
