"""chalicelib.jobs.chat_input: which conversations are taken."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from chalicelib.job_settings import InputLimits
from chalicelib.jobs.chat_input import chat_input

USER = {"role": "user", "content": "What is the weather in Köln?"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
CALLED = {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
PNG = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "json_schema", "json_schema": {"name": "city", "schema": {"type": "object"}, "strict": True}}


def image(url: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


def faults(given: dict[str, Any], limits: InputLimits | None = None) -> str:
    """What is wrong with an input; empty if it is taken."""
    try:
        chat_input(limits or InputLimits()).model_validate_json(json.dumps({"messages": [USER]} | given))
    except ValidationError as error:
        return str(error)
    return ""


TAKEN: dict[str, dict[str, Any]] = {
    "system": {"messages": [{"role": "system", "content": "Be brief."}, USER]},
    "developer": {"messages": [{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, USER]},
    "parts": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    },
    "name": {"messages": [USER | {"name": "alice"}]},
    "image": {"messages": [image(PNG)]},
    "tools": {"tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False},
    "named tool": {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
    "tool's reply": {"messages": [USER, CALLING, CALLED], "tools": [WEATHER]},
    "empty reply": {"messages": [USER, CALLING, CALLED | {"content": ""}], "tools": [WEATHER]},
    "reasoning": {"messages": [USER, {"role": "assistant", "content": "4", "reasoning_content": "2+2"}, USER]},
    "json object": {"response_format": {"type": "json_object"}},
    "json schema": {"response_format": SCHEMA},
    "stop as a text": {"stop": "END"},
    "penalties": {"presence_penalty": -2, "frequency_penalty": 2.0, "reasoning_effort": "low"},
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no message": ({"messages": []}, "messages"),
    "unknown role": ({"messages": [{"role": "critic", "content": "x"}]}, "role"),
    "silent assistant": ({"messages": [USER, {"role": "assistant"}]}, "wants content, tool_calls or both"),
    "reply to nothing": ({"messages": [{"role": "tool", "content": "x"}]}, "tool_call_id"),
    "unknown part": ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "audio"),
    "image of the system": ({"messages": [image(PNG) | {"role": "system"}]}, "image_url"),
    "choice without tools": ({"tool_choice": "required"}, "tool_choice needs tools"),
    "choice of a stranger": (
        {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "clock"}}},
        "tools has weather",
    ),
    "no function": ({"tools": [{"type": "web_search"}]}, "type"),
    "name with a blank": ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "name"),
    "schema without a name": ({"response_format": {"type": "json_schema", "json_schema": {}}}, "name"),
    "unknown member": ({"logit_bias": {}}, "logit_bias"),
    "too many stops": ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
}


@pytest.mark.parametrize("given", TAKEN.values(), ids=TAKEN)
def test_what_model_servers_take_is_taken(given: dict[str, Any]) -> None:
    assert faults(given) == ""


@pytest.mark.parametrize(("given", "named"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused_by_name(given: dict[str, Any], named: str) -> None:
    assert named in faults(given)


@pytest.mark.parametrize(
    "url",
    [
        "http://images.example.com/a.png", "https://evil.example.com/a.png", "https://images.example.com:444/a.png",
        "https://user@images.example.com/a.png", "https://images.example.com.evil.com/", "https://[::1/", "file:///etc",
        "//images.example.com/a.png", "data:text/html;base64,AAAA", "data:image/png,<svg>", "data:image/png;base64,",
    ],
)  # fmt: skip
def test_an_image_from_elsewhere_is_refused(url: str) -> None:
    limits = InputLimits(image_hosts=("images.example.com",))
    assert "an https URL at images.example.com, or a data URL" in faults({"messages": [image(url)]}, limits)


def test_an_image_at_a_host_that_is_allowed_is_taken() -> None:
    given = {"messages": [image("https://images.example.com/a.png?b=c")]}
    assert faults(given, InputLimits(image_hosts=("images.example.com",))) == ""
    assert "a data URL" in faults(given)


@pytest.mark.parametrize("where", ["messages", "tools", "response_format"])
def test_messages_tools_and_format_share_one_limit(where: str) -> None:
    long = "x" * 1_000
    given: dict[str, Any] = {
        "messages": {"messages": [{"role": "user", "content": long}]},
        "tools": {"tools": [{"type": "function", "function": {"name": "f", "description": long}}]},
        "response_format": {
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "description": long}}
        },
    }[where]
    assert faults(given) == ""
    assert "at most 1000 bytes in all" in faults(given, InputLimits(chat_bytes=1_000))
