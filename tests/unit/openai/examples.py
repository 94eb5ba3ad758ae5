"""Requests and jobs that several tests of the OpenAI API start from."""

import json
from typing import Any

from chalicelib.api.openai.body import parse_request
from chalicelib.openai.chat_jobs import job_of_completion, job_of_response
from chalicelib.openai.completion_request import CompletionRequest
from chalicelib.openai.input_items import items_of
from chalicelib.openai.response_object import response_of
from chalicelib.openai.response_request import ResponseRequest, StoredRequest
from lambda_router_queue.models import Job

MOST_TOKENS = 4_096
DIGITS = "0123456789abcdef" * 2
PNG = "data:image/png;base64,iVBORw0KGgo="

CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}}
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def answered(content: str | None = "Rain.", finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    """A result as the bundled worker writes it."""
    whole = {"role": "assistant", "content": content} | message
    return {"text": content or "", "message": whole, "finish_reason": finish_reason, "usage": USAGE}


def job(status: Any = "completed", **members: Any) -> Job:
    times = {"created_at": "2026-11-23T08:15:30.123Z", "expires_at": "2026-11-23T08:20:30.123Z"}
    finished = {} if status in {"queued", "in_progress"} else {"finished_at": "2026-11-23T08:15:40.999Z"}
    given = {"id": f"job_{DIGITS}", "type": "chat", "queue": "q", "priority": "normal", "request_id": "r"} | times
    return Job.model_validate(given | finished | {"status": status} | members)


def response_request(**members: Any) -> ResponseRequest:
    return _parsed({"model": "m", "input": "Hello"} | members, ResponseRequest)


def completion_request(**members: Any) -> CompletionRequest:
    given = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    return _parsed(given | members, CompletionRequest)


def chat_of_response(**members: Any) -> dict[str, Any]:
    """The chat that a request for a response becomes."""
    request = response_request(**members)
    chat: dict[str, Any] = job_of_response(request, items_of(request.input), MOST_TOKENS)["input"]
    return chat


def chat_of_completion(**members: Any) -> dict[str, Any]:
    """The chat that a request for a chat completion becomes."""
    chat: dict[str, Any] = job_of_completion(completion_request(**members), MOST_TOKENS)["input"]
    return chat


def shown(of: Job, **members: Any) -> dict[str, Any]:
    """A job as its response, in JSON; keyword arguments are members of the request, which was stored."""
    stored = StoredRequest.from_json(StoredRequest(request=response_request(**members)).as_json())
    document: dict[str, Any] = json.loads(response_of(of, stored).model_dump_json())
    return document


def _parsed[Request: (ResponseRequest, CompletionRequest)](document: Any, model: type[Request]) -> Request:
    return parse_request(json.dumps(document).encode(), "application/json", 1024 * 1024, model)
