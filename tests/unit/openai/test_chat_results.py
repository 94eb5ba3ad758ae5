"""chalicelib.openai.chat_results: whatever a worker wrote is read as an answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion as OpenAICompletion
from openai.types.responses import Response as OpenAIResponse

from chalicelib.openai.chat_results import Call, answer_of
from chalicelib.openai.completion_object import completion_of
from tests.unit.openai.examples import CALL, USAGE, answered, chat_of_response, job, shown

TEXTS: dict[str, tuple[Any, str]] = {
    "text": ("Rain.", "Rain."),
    "empty text": ("", ""),
    "object with a text": ({"text": "Rain."}, "Rain."),
    "object with a null": ({"text": None}, ""),
    "bundled worker": (answered("Rain."), "Rain."),
    "message without content": (answered(None), ""),
    "message alone": ({"role": "assistant", "content": "Rain."}, "Rain."),
    "message alone, that only calls": ({"content": None, "tool_calls": [CALL]}, ""),
    "null": (None, ""),
    "number": (5, "5"),
    "boolean": (True, "true"),
    "list": (["ä", 1], '["ä", 1]'),
    "object": ({"label": "cat"}, '{"label": "cat"}'),
    "message that is a text": ({"message": "Rain."}, '{"message": "Rain."}'),
}

CALLS: dict[str, tuple[Any, tuple[Call, ...]]] = {
    "call": ([CALL], (Call("call_1", "weather", '{"city": "Köln"}'),)),
    "arguments as an object": ([{"function": {"name": "f", "arguments": {"a": 1}}}], (Call("", "f", '{"a": 1}'),)),
    "no arguments": ([{"function": {"name": "f"}}], (Call("", "f", "{}"),)),
    "id that is no text": ([CALL | {"id": 7}], (Call("", "weather", '{"city": "Köln"}'),)),
    "no name": ([{}, {"function": {}}, {"function": {"name": ""}}, {"function": {"name": 5}}], ()),
    "no function": ([None, "f", 5, [], {"function": "f"}], ()),
    "no list": ({"function": {"name": "f"}}, ()),
    "null": (None, ()),
}


@pytest.mark.parametrize(("result", "text"), TEXTS.values(), ids=TEXTS)
def test_a_result_has_a_text(result: Any, text: str) -> None:
    assert answer_of(result).text == text


@pytest.mark.parametrize(("given_calls", "calls"), CALLS.values(), ids=CALLS)
def test_calls_that_name_a_function_are_read(given_calls: Any, calls: tuple[Call, ...]) -> None:
    assert answer_of(answered(None, tool_calls=given_calls)).calls == calls
    assert answer_of({"text": "", "tool_calls": given_calls}).calls == calls


@pytest.mark.parametrize("nonsense", [None, 5, [], "x"], ids=repr)
def test_nonsense_beside_the_text_is_left_out(nonsense: Any) -> None:
    answer = answer_of({"text": "Rain.", "usage": nonsense, "message": nonsense})
    assert (answer.text, answer.usage) == ("Rain.", {})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
functions = st.fixed_dictionaries({}, optional={"name": st.just("f") | json_values, "arguments": json_values})
calls = st.fixed_dictionaries({}, optional={"id": st.just("c") | json_values, "function": functions | json_values})
messages = st.fixed_dictionaries(
    {},
    optional={
        "role": json_values,
        "content": json_values,
        "tool_calls": st.lists(calls | json_values, max_size=3) | json_values,
        "reasoning_content": json_values,
    },
)
details = st.dictionaries(st.sampled_from(["cached_tokens", "reasoning_tokens", "audio_tokens"]), json_values)
usages = st.just(USAGE) | st.builds(
    lambda group, other: USAGE | {"prompt_tokens_details": group, "completion_tokens_details": other},
    details | json_values,
    details | json_values,
)
results = st.fixed_dictionaries(
    {},
    optional={
        "text": json_values,
        "message": messages | json_values,
        "tool_calls": st.lists(calls, max_size=2),
        "finish_reason": st.sampled_from(["stop", "length", "content_filter", "tool_calls"]) | json_values,
        "usage": usages | json_values,
    },
)


@given(results | messages | json_values)
def test_any_result_is_a_response_and_a_completion_that_openais_client_accepts(result: Any) -> None:
    done = job(result=result)
    assert OpenAIResponse.model_validate(shown(done)).status in {"completed", "incomplete"}
    assert OpenAICompletion.model_validate_json(completion_of(done, "m").model_dump_json()).choices


@given(results | messages | json_values)
def test_the_output_of_any_result_can_be_sent_back(result: Any) -> None:
    output = shown(job(result=result))["output"]
    usual = [item for item in output if all(len(item.get(name, "")) <= 128 for name in ("call_id", "name"))]
    assert json.dumps(chat_of_response(input=usual or "Hello")["messages"]) is not None
