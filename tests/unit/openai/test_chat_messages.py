"""chalicelib.openai.chat_messages: a response's items become the messages of a chat."""

from typing import Any

import pytest

from chalicelib.openai.chat_messages import UnknownCall, messages_of
from chalicelib.openai.input_items import items_of
from tests.unit.openai.examples import PNG, response_request

HELLO = {"role": "user", "content": "Hello"}


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def call(call_id: str, name: str = "weather") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"}


def output(call_id: str, text: Any = "rain") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def thought(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text}]}


def called(*ids: str) -> list[dict[str, Any]]:
    return [{"id": each, "type": "function", "function": {"name": "weather", "arguments": "{}"}} for each in ids]


def returned(call_id: str, text: str = "rain") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def image(**members: Any) -> dict[str, Any]:
    return {"type": "input_image", "image_url": PNG} | members


def text(value: str) -> dict[str, Any]:
    return {"type": "input_text", "text": value}


def chat(items: Any, instructions: str | None = None) -> list[dict[str, Any]]:
    return messages_of(instructions, items_of(response_request(input=items).input))


CHATS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "a text": ("Hello", [HELLO]),
    "items": ([HELLO, said("Hi"), HELLO], [HELLO, {"role": "assistant", "content": "Hi"}, HELLO]),
    "developer": ([{"role": "developer", "content": "Be brief."}], [{"role": "system", "content": "Be brief."}]),
    "system": ([{"role": "system", "content": "Be brief."}], [{"role": "system", "content": "Be brief."}]),
    "texts in parts": ([{"role": "user", "content": [text("Hel"), text("lo")]}], [HELLO]),
    "an image": (
        [{"role": "user", "content": [text("What?"), image(detail="low")]}],
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What?"},
                    {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
                ],
            }
        ],
    ),
    "an image with an empty text": (
        [{"role": "user", "content": [text(""), image()]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG}}]}],
    ),
    "a refusal": (
        [said("I can't.") | {"content": [{"type": "refusal", "refusal": "I can't."}]}, HELLO],
        [{"role": "assistant", "content": "I can't."}, HELLO],
    ),
    "a call and its output": (
        [call("a"), output("a")],
        [{"role": "assistant", "tool_calls": called("a")}, returned("a")],
    ),
    "consecutive calls": (
        [call("a"), call("b"), output("b"), output("a")],
        [{"role": "assistant", "tool_calls": called("a", "b")}, returned("b"), returned("a")],
    ),
    "calls of two turns": (
        [call("a"), output("a"), call("b"), output("b")],
        [
            {"role": "assistant", "tool_calls": called("a")},
            returned("a"),
            {"role": "assistant", "tool_calls": called("b")},
            returned("b"),
        ],
    ),
    "an output in parts": (
        [call("a"), output("a", [text("ra"), text("in")])],
        [{"role": "assistant", "tool_calls": called("a")}, returned("a")],
    ),
    "an empty output": (
        [call("a"), output("a", "")],
        [{"role": "assistant", "tool_calls": called("a")}, returned("a", "")],
    ),
    "a whole turn": (
        [thought("Hmm."), said("Let me see."), call("a"), output("a")],
        [
            {
                "role": "assistant",
                "reasoning_content": "Hmm.",
                "content": "Let me see.",
                "tool_calls": called("a"),
            },
            returned("a"),
        ],
    ),
    "a summary of a thought": (
        [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hmm."}]}, said("4")],
        [{"role": "assistant", "reasoning_content": "Hmm.", "content": "4"}],
    ),
    "two messages of one turn": ([said("a"), said("b")], [{"role": "assistant", "content": "ab"}]),
    "a thought alone": ([thought("Hmm."), HELLO], [HELLO]),
    "an empty answer": ([HELLO, said(""), HELLO], [HELLO, HELLO]),
    "empty messages": ([{"role": "user", "content": ""}, {"role": "system", "content": [text("")]}, HELLO], [HELLO]),
}


@pytest.mark.parametrize(("items", "messages"), CHATS.values(), ids=CHATS)
def test_items_become_messages(items: Any, messages: list[dict[str, Any]]) -> None:
    assert chat(items) == messages


def test_instructions_go_first() -> None:
    first = {"role": "system", "content": "Be brief."}
    assert chat("Hello", "Be brief.") == [first, HELLO]
    assert chat([{"role": "system", "content": "x"}], "Be brief.")[0] == first


@pytest.mark.parametrize("instructions", ["", None])
def test_empty_instructions_are_no_message(instructions: str | None) -> None:
    assert chat("Hello", instructions) == [HELLO]


@pytest.mark.parametrize(
    "items",
    [[output("a")], [call("b"), output("a")], [output("a"), call("a")]],
    ids=["no call", "another call", "call after it"],
)
def test_an_output_without_its_call_is_refused_by_its_id(items: list[dict[str, Any]]) -> None:
    with pytest.raises(UnknownCall) as unknown:
        chat(items)
    assert unknown.value.args == ("a",)
