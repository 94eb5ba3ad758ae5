"""chalicelib.api.openai.body: bytes become a request, or an error that names one member."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from chalicelib.api.openai.body import invalid_parameter, parse_request
from chalicelib.errors import InvalidParameter, MalformedRequest, PayloadTooLarge, Problem, UnsupportedMediaType
from chalicelib.job_settings import InputLimits
from chalicelib.jobs.chat_input import chat_input
from chalicelib.openai.chat_jobs import RESPONSE_NAMES, job_of_response
from chalicelib.openai.completion_request import CompletionRequest
from chalicelib.openai.input_items import items_of
from chalicelib.openai.response_request import ResponseRequest, StoredRequest
from tests.unit.openai.examples import response_request

JSON = "application/json"
SMALLEST: dict[str, Any] = {"model": "m", "input": "x"}


def parsed(document: Any, model: type[BaseModel] = ResponseRequest) -> BaseModel:
    return parse_request(json.dumps(document).encode(), JSON, 1024, model)


def refused(document: Any) -> InvalidParameter:
    with pytest.raises(InvalidParameter) as raised:
        parsed(document)
    return raised.value


def test_bytes_become_the_request() -> None:
    assert parsed(SMALLEST) == ResponseRequest(model="m", input="x")


@pytest.mark.parametrize(
    ("raw", "content_type", "problem"),
    [
        (b"{", JSON, MalformedRequest),
        (b'{"model": "m", "model": "m"}', JSON, MalformedRequest),
        (b"{}", "text/plain", UnsupportedMediaType),
        (b" " * 1025, JSON, PayloadTooLarge),
        (b"[]", JSON, InvalidParameter),
        (b"null", JSON, InvalidParameter),
    ],
    ids=["unfinished", "duplicate member", "no JSON", "too large", "list", "null"],
)
def test_what_is_no_json_object_is_refused_as_a_whole(raw: bytes, content_type: str, problem: type[Problem]) -> None:
    with pytest.raises(problem) as raised:
        parse_request(raw, content_type, 1024, ResponseRequest)
    assert getattr(raised.value, "param", None) is None


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({"model": None}, "model", "invalid_value"),
        ({"colour": "red"}, "colour", "unknown_parameter"),
        ({"temperature": 3}, "temperature", "invalid_value"),
        ({"temperature": "1"}, "temperature", "invalid_value"),
        ({"stream": "true"}, "stream", "invalid_value"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
        ({"input": [{"role": "user"}]}, "input[0].content", "missing_required_parameter"),
        ({"input": [{"role": "user", "content": [{"type": "x"}]}]}, "input[0].content[0].type", "invalid_value"),
        ({"text": {"format": {"type": "x"}}}, "text.format.type", "invalid_value"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "invalid_value"),
        ({"metadata": {"a/b~c": 5}}, "metadata.a/b~c", "invalid_value"),
        (
            {"background_options": {"completion_window": "2h"}},
            "background_options.completion_window",
            "invalid_value",
        ),
    ],
    ids=str,
)
def test_an_error_names_the_member_as_openai_does(members: dict[str, Any], param: str | None, code: str) -> None:
    problem = refused(SMALLEST | members)
    assert (problem.param, problem.code) == (param, code)
    assert (param or "background_options") in problem.detail


def test_a_missing_member_is_named() -> None:
    problem = refused({"input": "x"})
    assert (problem.param, problem.code) == ("model", "missing_required_parameter")


def test_the_first_fault_is_the_param_and_all_are_listed() -> None:
    problem = refused(SMALLEST | {"temperature": 3, "top_p": 3})
    assert problem.param == "temperature"
    assert [error["pointer"] for error in problem.errors] == ["/temperature", "/top_p"]


def test_a_long_value_is_not_echoed() -> None:
    assert "secret" not in str(refused(SMALLEST | {"truncation": "secret " * 100}).to_dict("r"))


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"max_output_tokens": 5_000}, "max_output_tokens"),
        ({"input": [{"role": "user", "content": ""}]}, "input"),
        ({"tool_choice": "required"}, "tool_choice"),
    ],
    ids=str,
)
def test_a_fault_of_the_job_is_named_by_the_request_it_was_made_of(members: dict[str, Any], param: str) -> None:
    request = response_request(**members)
    body = job_of_response(request, items_of(request.input), 4_096)
    with pytest.raises(ValidationError) as raised:
        chat_input(InputLimits(models=("m",))).model_validate(body["input"], strict=True)
    assert invalid_parameter(raised.value, body["input"], RESPONSE_NAMES).param == param


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
kinds = st.sampled_from(["message", "function_call", "function_call_output", "reasoning", "input_text", "text"])
roles = st.sampled_from(["user", "system", "developer", "assistant", "tool"])
items = st.fixed_dictionaries(
    {},
    optional={"type": kinds | json_values, "role": roles | json_values, "content": json_values, "id": json_values},
)
requests = st.fixed_dictionaries(
    {"model": st.just("m")},
    optional={
        "input": st.lists(items | json_values, max_size=2) | json_values,
        "messages": st.lists(items | json_values, max_size=2) | json_values,
        "text": json_values,
        "tools": st.lists(items | json_values, max_size=2),
        "tool_choice": items | json_values,
        "response_format": items | json_values,
    },
)


@pytest.mark.parametrize("model", [ResponseRequest, CompletionRequest])
@given(document=requests | json_values)
def test_any_document_is_a_request_or_a_problem(model: type[BaseModel], document: Any) -> None:
    with suppress(InvalidParameter, PayloadTooLarge):
        assert isinstance(parsed(document, model), model)


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize("levels", [185, 195])
def test_what_is_accepted_can_be_read_back_wherever_it_is_stored(levels: int) -> None:
    """In a job's envelope and in its record, the same values are nested a little deeper than in the request."""
    tool = {"type": "function", "name": "f", "parameters": nested(levels)}
    raw = json.dumps(SMALLEST | {"tools": [tool]}).encode()
    if levels > 190:
        with pytest.raises(MalformedRequest, match="nested"):
            parse_request(raw, JSON, 8192, ResponseRequest)
        return

    request = parse_request(raw, JSON, 8192, ResponseRequest)

    assert StoredRequest.from_json(StoredRequest(request=request).as_json()).request == request
    body = job_of_response(request, items_of(request.input), 10)
    assert from_json(json.dumps({"job": body})) == {"job": body}


def test_brackets_within_a_text_nest_nothing() -> None:
    assert parsed(SMALLEST | {"input": "[{" * 200})


@pytest.mark.parametrize(
    ("model", "document", "param"),
    [
        (
            ResponseRequest,
            SMALLEST | {"background_options": {"completion_window": "8h"}},
            "background_options.completion_window",
        ),
        (
            CompletionRequest,
            {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1, "max_completion_tokens": 2},
            "max_tokens",
        ),
    ],
)
def test_a_fault_of_two_members_names_one_of_them(model: type[BaseModel], document: Any, param: str) -> None:
    with pytest.raises(InvalidParameter) as raised:
        parsed(document, model)
    assert raised.value.param == param
    assert raised.value.detail.count(param) == 1
