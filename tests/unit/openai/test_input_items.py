"""chalicelib.openai.input_items: which items are accepted, with what clients send back."""

from typing import Any

import pytest

from chalicelib.errors import InvalidParameter
from chalicelib.openai.input_items import Item, MessageItem, items_of
from tests.unit.openai.examples import PNG, response_request

TEXT = {"type": "input_text", "text": "x"}
SAID = {"type": "output_text", "text": "x"}
ANSWER = {"type": "message", "role": "assistant", "content": [SAID]}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "rain"}
THOUGHT = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "x"}]}

TAKEN: dict[str, dict[str, Any]] = {
    "message without type": {"role": "user", "content": "x"},
    "message with type null": {"type": None, "role": "user", "content": "x"},
    "empty message": {"role": "user", "content": ""},
    "developer": {"role": "developer", "content": [TEXT]},
    "image": {"role": "user", "content": [TEXT, {"type": "input_image", "image_url": PNG, "detail": "high"}]},
    "image without file": {
        "role": "user",
        "content": [{"type": "input_image", "image_url": PNG, "detail": None, "file_id": None}],
    },
    "answer": ANSWER | {"id": "msg_1", "status": "completed"},
    "answer with nulls": ANSWER | {"id": None, "status": None, "phase": None},
    "answer in a phase": ANSWER | {"phase": "final_answer"},
    "answer as a text": {"role": "assistant", "content": "x"},
    "answer with annotations": ANSWER | {"content": [SAID | {"annotations": [{"type": "x"}], "logprobs": [{}]}]},
    "answer with null annotations": ANSWER | {"content": [SAID | {"annotations": None, "logprobs": None}]},
    "refusal": ANSWER | {"content": [{"type": "refusal", "refusal": "No."}]},
    "call": CALL | {"id": "fc_1", "status": "completed"},
    "call with nulls": CALL | {"id": None, "status": None, "namespace": None, "caller": None, "async": False},
    "call of a name that is no function's": CALL | {"name": "functions.get weather"},
    "output": OUTPUT | {"id": "fco_1", "status": "completed"},
    "output in parts": OUTPUT | {"output": [TEXT]},
    "empty output": OUTPUT | {"output": ""},
    "output with a name": OUTPUT | {"name": "f", "namespace": None, "caller": {"type": "direct"}},
    "thought": THOUGHT | {"id": "rs_1", "status": "completed", "encrypted_content": None, "content": None},
    "whole thought": THOUGHT | {"summary": [], "content": [{"type": "reasoning_text", "text": "x"}]},
}

REFUSED: dict[str, tuple[Any, str]] = {
    "text": ("hello", "input[0]"),
    "number": (1, "input[0]"),
    "null": (None, "input[0]"),
    "list": ([], "input[0]"),
    "empty": ({}, "input[0].type"),
    "reference": ({"type": "item_reference", "id": "msg_1"}, "input[0].type"),
    "type that is no text": ({"type": ["message"]}, "input[0].type"),
    "unknown role": ({"role": "critic", "content": "x"}, "input[0].role"),
    "no content": ({"role": "user"}, "input[0].content"),
    "no part": ({"role": "user", "content": []}, "input[0].content"),
    "part of chat completions": ({"role": "user", "content": [{"type": "text"}]}, "input[0].content[0].type"),
    "file": ({"role": "user", "content": [{"type": "input_file"}]}, "input[0].content[0].type"),
    "image by file": (
        {"role": "user", "content": [{"type": "input_image", "image_url": PNG, "file_id": "f"}]},
        "input[0].content[0].file_id",
    ),
    "image of the model": ({"role": "assistant", "content": [{"type": "input_image", "image_url": PNG}]}, "input[0]"),
    "image of the system": ({"role": "system", "content": [{"type": "input_image", "image_url": PNG}]}, "input[0]"),
    "call without a name": (CALL | {"name": ""}, "input[0].name"),
    "call of a namespace": (CALL | {"namespace": "n"}, "input[0].namespace"),
    "output without a call": ({"type": "function_call_output", "output": "x"}, "input[0].call_id"),
    "encrypted thought": (THOUGHT | {"encrypted_content": "x"}, "input[0].encrypted_content"),
    "unknown member": (ANSWER | {"colour": "red"}, "input[0].colour"),
}


@pytest.mark.parametrize("item", TAKEN.values(), ids=TAKEN)
def test_what_clients_send_is_accepted(item: dict[str, Any]) -> None:
    assert len(items_of(response_request(input=[item]).input)) == 1


@pytest.mark.parametrize(("item", "param"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused_and_pointed_at(item: Any, param: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        response_request(input=[item])
    assert refused.value.param == param


@pytest.mark.parametrize("given", ["", [], None, 1, {"role": "user", "content": "x"}], ids=repr)
def test_an_input_that_is_neither_text_nor_items_is_refused(given: Any) -> None:
    with pytest.raises(InvalidParameter) as refused:
        response_request(input=given)
    assert refused.value.param == "input"


def test_a_text_is_a_message_of_the_user() -> None:
    assert items_of("Hello") == [MessageItem(role="user", content="Hello")]


def test_items_are_a_list_of_their_own() -> None:
    given: list[Item] = [MessageItem(role="user", content="x")]
    items_of(given).clear()
    assert len(given) == 1


def test_what_is_not_passed_on_is_not_kept() -> None:
    (item,) = items_of(response_request(input=[OUTPUT | {"name": "f", "namespace": None}]).input)
    assert item.model_dump(exclude_none=True) == OUTPUT
