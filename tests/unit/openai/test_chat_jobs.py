"""chalicelib.openai.chat_jobs: requests become chat jobs, with every member that is honoured."""

import json
from typing import Any

import pytest

from chalicelib.job_settings import InputLimits
from chalicelib.jobs.chat_input import chat_input
from chalicelib.openai.chat_jobs import completion_names, job_of_completion, job_of_response
from chalicelib.openai.input_items import items_of
from tests.unit.openai.examples import (
    MOST_TOKENS,
    chat_of_completion,
    chat_of_response,
    completion_request,
    response_request,
)

SCHEMA = {"type": "object", "properties": {"city": {"type": ["string", "null"], "default": None}}}
FUNCTION = {"name": "weather", "description": "Tells it.", "parameters": SCHEMA, "strict": True}
TOOL = {"type": "function", "function": FUNCTION}
FLAT = {"type": "function"} | FUNCTION
FORMAT = {"name": "city", "schema": SCHEMA, "strict": True}


def job_of(**members: Any) -> dict[str, Any]:
    request = response_request(**members)
    return job_of_response(request, items_of(request.input), MOST_TOKENS)


RESPONSES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sampling": (
        {"temperature": 1, "top_p": 0.5, "presence_penalty": -2, "frequency_penalty": 2.0},
        {"temperature": 1.0, "top_p": 0.5, "presence_penalty": -2.0, "frequency_penalty": 2.0},
    ),
    "zeros": ({"temperature": 0, "top_p": 0}, {"temperature": 0.0, "top_p": 0.0}),
    "limit": ({"max_output_tokens": 7}, {"max_tokens": 7}),
    "effort": ({"reasoning": {"effort": "low", "summary": None}}, {"reasoning_effort": "low"}),
    "no effort": ({"reasoning": {}}, {}),
    "tools": ({"tools": [FLAT]}, {"tools": [TOOL]}),
    "tools with nulls": (
        {"tools": [{"type": "function", "name": "f", "description": None, "parameters": None, "strict": None}]},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
    ),
    "no tools": ({"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}, {}),
    "choice": ({"tools": [FLAT], "tool_choice": "required"}, {"tools": [TOOL], "tool_choice": "required"}),
    "function chosen": (
        {"tools": [FLAT], "tool_choice": {"type": "function", "name": "weather"}, "parallel_tool_calls": False},
        {
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": False,
        },
    ),
    "text": ({"text": {"format": {"type": "text"}, "verbosity": "medium"}}, {}),
    "JSON": ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
    "JSON of a schema": (
        {"text": {"format": {"type": "json_schema"} | FORMAT}},
        {"response_format": {"type": "json_schema", "json_schema": FORMAT}},
    ),
}

COMPLETIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sampling": (
        {"temperature": 0, "top_p": 1, "presence_penalty": 1, "frequency_penalty": 1, "seed": 0, "stop": ["a"]},
        {"temperature": 0.0, "top_p": 1.0, "presence_penalty": 1.0, "frequency_penalty": 1.0, "seed": 0, "stop": ["a"]},
    ),
    "limit": ({"max_completion_tokens": 7}, {"max_tokens": 7}),
    "older limit": ({"max_tokens": 7}, {"max_tokens": 7}),
    "both limits": ({"max_tokens": 7, "max_completion_tokens": 7}, {"max_tokens": 7}),
    "effort": ({"reasoning_effort": "max"}, {"reasoning_effort": "max"}),
    "tools": (
        {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False},
        {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False},
    ),
    "no tools": ({"tools": [], "tool_choice": "auto"}, {}),
    "JSON of a schema": (
        {"response_format": {"type": "json_schema", "json_schema": FORMAT | {"description": None}}},
        {"response_format": {"type": "json_schema", "json_schema": FORMAT}},
    ),
    "what is not passed on": (
        {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "n": 1, "logprobs": False, "logit_bias": {}},
        {},
    ),
}

MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(("members", "chat"), RESPONSES.values(), ids=RESPONSES)
def test_a_response_is_a_chat_with_what_was_asked(members: dict[str, Any], chat: dict[str, Any]) -> None:
    assert chat_of_response(**members) == {"model": "m", "messages": MESSAGES, "max_tokens": MOST_TOKENS} | chat


@pytest.mark.parametrize(("members", "chat"), COMPLETIONS.values(), ids=COMPLETIONS)
def test_a_completion_is_a_chat_with_what_was_asked(members: dict[str, Any], chat: dict[str, Any]) -> None:
    assert chat_of_completion(**members) == {"model": "m", "messages": MESSAGES, "max_tokens": MOST_TOKENS} | chat


@pytest.mark.parametrize("members", [members for members, _ in RESPONSES.values()], ids=RESPONSES)
def test_a_chat_made_of_a_response_is_a_valid_job(members: dict[str, Any]) -> None:
    assert_valid(chat_of_response(**members))


@pytest.mark.parametrize("members", [members for members, _ in COMPLETIONS.values()], ids=COMPLETIONS)
def test_a_chat_made_of_a_completion_is_a_valid_job(members: dict[str, Any]) -> None:
    assert_valid(chat_of_completion(**members))


def assert_valid(chat: dict[str, Any]) -> None:
    model = chat_input(InputLimits(models=("m",)))
    assert model.model_validate_json(json.dumps(chat), strict=True)


def test_a_null_in_a_functions_schema_survives() -> None:
    (tool,) = chat_of_response(tools=[FLAT])["tools"]
    assert tool["function"]["parameters"]["properties"]["city"]["default"] is None


@pytest.mark.parametrize(("store", "stored"), [(None, True), (True, True), (False, False)])
def test_a_job_is_stored_unless_the_caller_says_otherwise(store: bool | None, stored: bool) -> None:
    assert job_of(store=store)["store"] is stored
    assert job_of_completion(completion_request(store=store), MOST_TOKENS)["store"] is stored


def test_metadata_is_the_jobs() -> None:
    assert job_of(metadata={"a": "b"})["metadata"] == {"a": "b"}
    assert job_of(metadata=None)["metadata"] == {}


@pytest.mark.parametrize(
    ("window", "later"),
    [
        (None, {}),
        ("soonest", {}),
        ("2h", {"priority": "low", "ttl_seconds": 7_200}),
        ("8h", {"priority": "low", "ttl_seconds": 28_800}),
    ],
)
def test_a_later_window_has_low_priority_and_may_wait_as_long(window: str | None, later: dict[str, Any]) -> None:
    job = job_of(background=True, background_options={"completion_window": window})
    assert {name: job[name] for name in job.keys() & {"priority", "ttl_seconds"}} == later


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({}, "max_completion_tokens"),
        ({"max_tokens": 7}, "max_tokens"),
        ({"max_completion_tokens": 7}, "max_completion_tokens"),
    ],
)
def test_a_limit_is_called_what_its_caller_called_it(members: dict[str, Any], name: str) -> None:
    assert completion_names(completion_request(**members))["max_tokens"] == name
