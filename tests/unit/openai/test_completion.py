"""chalicelib.openai.completion_request, completion_messages and completion_object: chat completions."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion as OpenAICompletion

from chalicelib.errors import InvalidParameter, JobNotCompleted
from chalicelib.job_settings import InputLimits
from chalicelib.jobs.chat_input import chat_input
from chalicelib.openai.completion_object import completion_of
from tests.unit.openai.examples import CALL, DIGITS, PNG, USAGE, answered, chat_of_completion, completion_request, job

USER = {"role": "user", "content": "Hello"}
SAID = {"role": "assistant", "content": "Hi"}
CALLING = {"role": "assistant", "tool_calls": [CALL]}
CALLED = {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
CACHED = {"prompt_tokens_details": {"cached_tokens": 2}}
IMAGE = {"type": "image_url", "image_url": {"url": PNG}}


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


#: What official clients, agents and chat interfaces send, and what becomes of it; None: the message is left out.
SENT: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "user": (USER, USER),
    "user with a name": (USER | {"name": "alice"}, USER | {"name": "alice"}),
    "user with a null name": (USER | {"name": None}, USER),
    "system": ({"role": "system", "content": "Be brief."}, {"role": "system", "content": "Be brief."}),
    "developer": ({"role": "developer", "content": "Be brief."}, {"role": "system", "content": "Be brief."}),
    "empty system": ({"role": "system", "content": ""}, None),
    "empty user": ({"role": "user", "content": ""}, None),
    "parts": ({"role": "user", "content": [text("a"), IMAGE]}, {"role": "user", "content": [text("a"), IMAGE]}),
    "image alone": ({"role": "user", "content": [text(""), IMAGE]}, {"role": "user", "content": [IMAGE]}),
    "empty parts": ({"role": "user", "content": [text("")]}, None),
    "answer": (SAID, SAID),
    "answer as a completion has it": (
        SAID | {"refusal": None, "annotations": [], "audio": None, "function_call": None, "tool_calls": None},
        SAID,
    ),
    "answer with a name": (SAID | {"name": "m"}, SAID | {"name": "m"}),
    "answer in parts": ({"role": "assistant", "content": [text("Hi")]}, SAID | {"content": [text("Hi")]}),
    "refusal in parts": (
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "assistant", "content": [text("No.")]},
    ),
    "refusal": ({"role": "assistant", "content": None, "refusal": "No."}, {"role": "assistant", "content": "No."}),
    "empty answer": ({"role": "assistant", "content": ""}, None),
    "thought alone": ({"role": "assistant", "content": "", "reasoning_content": "Hmm."}, None),
    "thought": (SAID | {"reasoning_content": "Hmm."}, SAID | {"reasoning_content": "Hmm."}),
    "no calls": (SAID | {"tool_calls": []}, SAID),
    "calls": (CALLING, CALLING),
    "calls and null": (CALLING | {"content": None}, CALLING),
    "calls and an empty answer": (CALLING | {"content": ""}, CALLING),
    "calls of a stream": (CALLING | {"tool_calls": [CALL | {"index": 0}]}, CALLING),
    "call of a name that is no function's": (
        CALLING | {"tool_calls": [CALL | {"function": {"name": "functions.f", "arguments": ""}}]},
        CALLING | {"tool_calls": [CALL | {"function": {"name": "functions.f", "arguments": ""}}]},
    ),
    "output": (CALLED, CALLED),
    "output with a name": (CALLED | {"name": "weather"}, CALLED),
    "output in parts": (CALLED | {"content": [text("rain")]}, CALLED | {"content": [text("rain")]}),
    "empty output": (CALLED | {"content": ""}, CALLED | {"content": ""}),
    "output in empty parts": (CALLED | {"content": [text("")]}, CALLED | {"content": ""}),
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": []}, "messages"),
    "text": ({"messages": ["Hello"]}, "messages[0]"),
    "older role": ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
    "nothing said": ({"messages": [{"role": "assistant", "content": None}]}, "messages[0]"),
    "audio": ({"messages": [USER | {"content": [{"type": "input_audio"}]}]}, "messages[0].content[0].type"),
    "image of the model": ({"messages": [SAID | {"content": [IMAGE]}]}, "messages[0].content[0].type"),
    "call by its older name": ({"messages": [SAID | {"function_call": {"name": "f"}}]}, "messages[0].function_call"),
    "unknown member": ({"messages": [USER | {"colour": "red"}]}, "messages[0].colour"),
    "custom tool": ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].type"),
    "allowed tools": ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice.type"),
    "several answers": ({"n": 2}, "n"),
    "options of a stream": ({"stream_options": {"include_usage": True}}, "stream_options"),
    "obfuscation": ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include"),
}


@pytest.mark.parametrize(("sent", "passed_on"), SENT.values(), ids=SENT)
def test_what_clients_send_is_passed_on_as_chat_jobs_have_it(
    sent: dict[str, Any], passed_on: dict[str, Any] | None
) -> None:
    chat = chat_of_completion(messages=[USER, sent])
    assert chat["messages"] == [USER, *([passed_on] if passed_on else [])]
    assert chat_input(InputLimits(models=("m",))).model_validate_json(json.dumps(chat), strict=True)


@pytest.mark.parametrize(("members", "param"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused_and_pointed_at(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        completion_request(**members)
    assert (refused.value.param or "").startswith(param)


def test_two_limits_that_differ_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="max_tokens and max_completion_tokens differ"):
        completion_request(max_tokens=1, max_completion_tokens=2)


def completion(result: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(completion_of(job(result=result), "m").model_dump_json())
    return document


RESULTS: dict[str, tuple[Any, str]] = {
    "answer": (answered(), "stop"),
    "calls": (answered(None, "tool_calls", tool_calls=[CALL, CALL | {"id": ""}]), "tool_calls"),
    "calls of a server that says nothing": (answered(None, "", tool_calls=[CALL]), "tool_calls"),
    "thought": (answered(reasoning_content="Hmm."), "stop"),
    "cut": (answered(finish_reason="length"), "length"),
    "filtered": (answered("", "content_filter"), "content_filter"),
    "in the server's own words": (answered(finish_reason="eos"), "stop"),
    "text of another worker": ("Rain.", "stop"),
    "nothing": (None, "stop"),
}


@pytest.mark.parametrize(("result", "reason"), RESULTS.values(), ids=RESULTS)
def test_openais_client_accepts_the_completion_in_strict_form(result: Any, reason: str) -> None:
    found = OpenAICompletion.model_validate(completion(result), strict=True)
    assert found.choices[0].finish_reason == reason
    assert (found.id, found.model, found.created) == (f"chatcmpl-{DIGITS}", "m", 1_795_421_730)


@pytest.mark.parametrize("result", [result for result, _ in RESULTS.values() if result], ids=str)
def test_a_completions_message_can_be_sent_back(result: Any) -> None:
    message = completion(result)["choices"][0]["message"]
    by_client = OpenAICompletion.model_validate(completion(result)).choices[0].message
    chats = [
        chat_of_completion(messages=[USER, sent])["messages"]
        for sent in (message, by_client.to_dict(mode="json"), by_client.model_dump(mode="json"))
    ]
    assert chats[0] == chats[1] == chats[2]


def test_calls_without_an_id_get_one_that_stays() -> None:
    first, second = (
        completion(answered(None, tool_calls=[CALL | {"id": ""}]))["choices"][0]["message"]["tool_calls"][0]["id"]
        for _ in range(2)
    )
    assert first == second == f"call_{DIGITS}_0"


@pytest.mark.parametrize(
    ("figures", "usage"),
    [
        (USAGE, USAGE),
        (USAGE | CACHED, USAGE | CACHED),
        (USAGE | {"prompt_tokens_details": None, "completion_tokens_details": "x"}, USAGE),
        (USAGE | {"prompt_tokens_details": {"cached_tokens": "2"}}, USAGE | {"prompt_tokens_details": {}}),
        ({"prompt_tokens": 3}, None),
    ],
    ids=["counts", "details", "no details", "nonsense", "one count"],
)  # fmt: skip
def test_usage_has_counts_only(figures: dict[str, Any], usage: dict[str, Any] | None) -> None:
    assert completion(answered() | {"usage": figures})["usage"] == usage


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"status": "failed", "error": {"code": "backend_refused", "message": "No."}}, "backend_refused"),
        ({"status": "cancelled"}, "cancelled"),
        ({"status": "expired"}, "expired"),
    ],
    ids=str,
)
def test_a_job_that_did_not_complete_is_a_problem_with_its_code(members: dict[str, Any], code: str) -> None:
    with pytest.raises(JobNotCompleted) as raised:
        completion_of(job(**members), "m")
    assert raised.value.code == code


def test_a_completed_job_whose_result_cannot_be_read_is_a_problem_too() -> None:
    with pytest.raises(JobNotCompleted) as raised:
        completion_of(job(error={"code": "worker_error", "message": "No."}), "m")
    assert raised.value.code == "worker_error"
