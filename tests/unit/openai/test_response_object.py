"""chalicelib.openai.response_object: a job as a response that OpenAI's client and both schemas accept."""

import json
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
from openai.types.responses import Response as OpenAIResponse

from chalicelib.openai.response_object import job_id_of, response_id_of, usage_of
from tests import corpora
from tests.unit.openai.examples import (
    CALL,
    DIGITS,
    PNG,
    USAGE,
    answered,
    chat_of_response,
    job,
    response_request,
    shown,
)

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
FORMAT = {"type": "json_schema", "name": "city", "schema": {"type": "object"}}
ERROR = {"code": "backend_refused", "message": "No."}

#: Every status of a job, and of a completed one every way to end: status of the response.
JOBS: dict[str, tuple[Any, str]] = {
    "queued": (job("queued", position=1), "queued"),
    "in_progress": (job("in_progress", last_error=ERROR), "in_progress"),
    "completed": (job(result=answered()), "completed"),
    "with calls": (job(result=answered(None, "tool_calls", tool_calls=[CALL, CALL | {"id": ""}])), "completed"),
    "with a thought": (job(result=answered(reasoning_content="Hmm.", tool_calls=[CALL])), "completed"),
    "of another worker": (job(result="Rain."), "completed"),
    "length": (job(result=answered(finish_reason="length")), "incomplete"),
    "content_filter": (job(result=answered("", "content_filter")), "incomplete"),
    "failed": (job("failed", error=ERROR), "failed"),
    "cancelled": (job("cancelled"), "cancelled"),
    "expired": (job("expired"), "failed"),
}
REQUESTS: dict[str, dict[str, Any]] = {
    "smallest": {},
    "largest": {
        "input": [{"role": "user", "content": [{"type": "input_image", "image_url": PNG}]}],
        "instructions": "Be brief.",
        "previous_response_id": f"resp_{DIGITS}",
        "background": True,
        "background_options": {"completion_window": "2h"},
        "store": False,
        "metadata": {"a": "b"},
        "max_output_tokens": 7,
        "temperature": 0,
        "top_p": 1,
        "presence_penalty": 1,
        "frequency_penalty": -1,
        "tools": [TOOL, TOOL | {"strict": None, "description": "x", "async": False, "defer_loading": None}],
        "tool_choice": {"type": "function", "name": "weather"},
        "parallel_tool_calls": False,
        "text": {"format": FORMAT, "verbosity": None},
        "reasoning": {"effort": "low", "summary": None, "context": "auto", "mode": "standard"},
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "service_tier": "auto",
    },
}
every_job = pytest.mark.parametrize(("given", "status"), JOBS.values(), ids=JOBS)
every_request = pytest.mark.parametrize("members", REQUESTS.values(), ids=REQUESTS)

#: What Open Responses wants: present and not null, or present.
NOT_NULL = {
    "id", "object", "created_at", "status", "model", "output", "tools", "tool_choice", "truncation",
    "parallel_tool_calls", "text", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs", "temperature",
    "store", "background", "service_tier", "metadata",
}  # fmt: skip
PRESENT = {
    "completed_at", "incomplete_details", "previous_response_id", "instructions", "error", "reasoning", "usage",
    "max_output_tokens", "max_tool_calls", "safety_identifier", "prompt_cache_key",
}  # fmt: skip


@cache
def openais_schema() -> Any:
    document = json.loads(corpora.RESPONSES.place().read_text())
    schema = {"$ref": "#/components/schemas/Response", "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


@every_request
@every_job
def test_openais_client_accepts_the_response_in_strict_form(given: Any, status: str, members: dict[str, Any]) -> None:
    response = OpenAIResponse.model_validate(shown(given, **members), strict=True)
    assert response.status == status
    assert isinstance(response.output_text, str)


@every_request
@every_job
def test_openais_schema_accepts_the_response(given: Any, status: str, members: dict[str, Any]) -> None:
    document = shown(given, **members)
    if document["usage"] is None:
        del document["usage"]  # Open Responses wants the null, and OpenAI's client takes it
    assert [str(error) for error in openais_schema().iter_errors(document)] == []


@every_request
@every_job
def test_open_responses_finds_every_member_that_it_wants(given: Any, status: str, members: dict[str, Any]) -> None:
    document = shown(given, **members)
    assert document.keys() >= NOT_NULL | PRESENT
    assert {name for name in NOT_NULL if document[name] is None} == set()
    assert all(isinstance(tool["strict"], bool) for tool in document["tools"])
    assert all(isinstance(document[name], float) for name in ("temperature", "top_p"))


@every_job
def test_only_what_is_completed_has_its_time(given: Any, status: str) -> None:
    document = shown(given)
    assert document["created_at"] == 1_795_421_730
    assert document["completed_at"] == (1_795_421_740 if status == "completed" else None)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("completed", None), ("length", "max_output_tokens"), ("content_filter", "content_filter"), ("expired", None)],
)
def test_what_was_cut_says_why(name: str, reason: str | None) -> None:
    document = shown(JOBS[name][0])
    assert document["incomplete_details"] == (reason and {"reason": reason})
    assert {item["status"] for item in document["output"]} <= {"incomplete" if reason else "completed"}


@pytest.mark.parametrize(("name", "begins"), [("failed", "backend_refused: No."), ("expired", "expired: ")])
def test_what_failed_begins_its_message_with_the_jobs_own_code(name: str, begins: str) -> None:
    error = shown(JOBS[name][0])["error"]
    assert error["code"] == "server_error"
    assert error["message"].startswith(begins)


@pytest.mark.parametrize("name", sorted(JOBS.keys() - {"failed", "expired"}))
def test_nothing_else_has_an_error(name: str) -> None:
    assert shown(JOBS[name][0])["error"] is None


def test_thought_answer_and_calls_are_items_of_their_own_in_that_order() -> None:
    result = answered("Let me see.", "tool_calls", reasoning_content="Hmm.", tool_calls=[CALL, CALL | {"id": ""}])
    thought, message, first, second = shown(job(result=result))["output"]
    assert thought["content"] == [{"type": "reasoning_text", "text": "Hmm."}]
    assert message["content"][0]["text"] == "Let me see."
    assert (first["name"], first["arguments"]) == ("weather", '{"city": "Köln"}')
    assert [first["call_id"], second["call_id"]] == ["call_1", f"call_{DIGITS}_1"]
    assert len({item["id"] for item in (thought, message, first, second)}) == 4


def test_calls_without_an_answer_come_without_a_message() -> None:
    output = shown(job(result=answered(None, "tool_calls", tool_calls=[CALL])))["output"]
    assert [item["type"] for item in output] == ["function_call"]


@pytest.mark.parametrize("name", ["completed", "with calls", "with a thought", "of another worker", "length"])
def test_an_output_can_be_sent_back_as_input(name: str) -> None:
    document = shown(JOBS[name][0])
    through_client = OpenAIResponse.model_validate(document)
    sent = {
        "as it came": document["output"],
        "by the client": [item.to_dict(mode="json") for item in through_client.output],
        "with nulls": [item.model_dump(mode="json", by_alias=True) for item in through_client.output],
    }
    chats = [chat_of_response(input=items)["messages"] for items in sent.values()]
    assert chats[0] == chats[1] == chats[2]
    assert [message["role"] for message in chats[0]] == ["assistant"]


def test_a_call_that_was_sent_back_is_found_by_its_output() -> None:
    output = shown(JOBS["with calls"][0])["output"]
    replies = [{"type": "function_call_output", "call_id": item["call_id"], "output": "rain"} for item in output]
    roles = [message["role"] for message in chat_of_response(input=[*output, *replies])["messages"]]
    assert roles == ["assistant", "tool", "tool"]


def test_the_request_is_repeated() -> None:
    document = shown(job("queued"), **REQUESTS["largest"])
    for name in ("instructions", "previous_response_id", "max_output_tokens", "tool_choice", "user", "background"):
        assert document[name] == REQUESTS["largest"][name]
    assert document["text"]["format"] == FORMAT
    assert document["tools"][1].keys() == {"type", "name", "description", "parameters", "strict"}
    assert response_request(**REQUESTS["largest"]).model_dump_json()


def test_a_jobs_id_and_its_responses_share_their_digits() -> None:
    assert response_id_of(f"job_{DIGITS}") == f"resp_{DIGITS}"
    assert job_id_of(f"resp_{DIGITS}") == f"job_{DIGITS}"
    assert job_id_of(f"job_{DIGITS}") == job_id_of("") == ""


@pytest.mark.parametrize(
    ("figures", "cached", "reasoned"),
    [
        (USAGE, 0, 0),
        (USAGE | {"prompt_tokens_details": None, "completion_tokens_details": "x"}, 0, 0),
        (USAGE | {"prompt_tokens_details": {"cached_tokens": 2}}, 2, 0),
        (USAGE | {"completion_tokens_details": {"reasoning_tokens": 3}}, 0, 3),
        (USAGE | {"completion_tokens_details": {"reasoning_tokens": -3}}, 0, 0),
    ],
    ids=["plain", "no details", "cached", "reasoning", "nonsense"],
)
def test_usage_has_details_even_where_the_server_has_none(figures: dict[str, Any], cached: int, reasoned: int) -> None:
    assert usage_of(figures) == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": reasoned},
        "total_tokens": 7,
    }


@pytest.mark.parametrize(
    "figures", [{}, {"prompt_tokens": 3}, USAGE | {"total_tokens": True}, USAGE | {"total_tokens": "7"}]
)
def test_usage_without_its_counts_is_none(figures: dict[str, Any]) -> None:
    assert usage_of(figures) is None


def test_a_servers_id_of_a_call_that_no_input_may_have_is_replaced() -> None:
    """Some servers put what the model thought into it, in kilobytes."""
    response = shown(job(result=answered(None, tool_calls=[CALL | {"id": "i" * 129}])))
    assert response["output"][0]["call_id"] == f"call_{DIGITS}_0"
