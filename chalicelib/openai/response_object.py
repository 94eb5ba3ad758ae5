"""A job as a response of the OpenAI API.

The object satisfies the strict mode of OpenAI's Python client, and the schema of Open Responses, which has members that
OpenAI's lacks and allows fewer of them to be null.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.openai.chat_results import Answer, Call, answer_of
from chalicelib.openai.input_items import MAX_ID
from chalicelib.openai.response_request import ResponseRequest, StoredRequest
from lambda_router_queue.models import Job

JOB_PREFIX, RESPONSE_PREFIX = "job_", "resp_"

#: Why a response is incomplete, by the model's ``finish_reason``.
_CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}


def job_id_of(response_id: str) -> str:
    """Return the id of a response's job; a text that is no response's id is no job's either."""
    return JOB_PREFIX + response_id.removeprefix(RESPONSE_PREFIX) if response_id.startswith(RESPONSE_PREFIX) else ""


def response_id_of(job_id: str) -> str:
    return RESPONSE_PREFIX + job_id.removeprefix(JOB_PREFIX)


class ResponseError(BaseModel):
    """Why a response failed. OpenAI's clients know few codes; the job's own begins the message."""

    code: Literal["server_error"] = "server_error"
    message: str


class Response(BaseModel):
    """A response as it now stands."""

    model_config = ConfigDict(defer_build=True)

    id: str = Field(pattern=r"^resp_[0-9a-f]{32}$")
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    error: ResponseError | None
    incomplete_details: dict[str, str] | None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: None = None
    model: str
    output: list[dict[str, Any]]
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: dict[str, Any] | None
    store: bool
    background: bool
    temperature: float
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    top_logprobs: int = 0
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    truncation: Literal["disabled"] = "disabled"
    usage: dict[str, Any] | None
    metadata: dict[str, str]
    service_tier: Literal["default"] = "default"
    user: str | None = Field(default=None, exclude_if=lambda user: user is None)  # OpenAI's schema has no null here
    safety_identifier: str | None
    prompt_cache_key: str | None


def response_of(job: Job, stored: StoredRequest) -> Response:
    """Return the response that this job is."""
    answer = answer_in(job)
    cut = _CUT.get(answer.finish_reason) if answer else None
    return Response(
        id=response_id_of(job.id),
        created_at=seconds(job.created_at),
        completed_at=seconds(job.finished_at) if job.finished_at and answer and not cut else None,
        status=_status(job, cut),
        error=_error(job),
        incomplete_details={"reason": cut} if cut else None,
        output=_output(job.id, answer, "incomplete" if cut else "completed") if answer else [],
        usage=usage_of(answer.usage) if answer else None,
        metadata=job.metadata,
        store=job.store,
        **_echo(stored.request),
    )


def answer_in(job: Job) -> Answer | None:
    """Return the model's answer; None if there is none, or if it is not kept and comes without its result."""
    return answer_of(job.result) if is_completed(job) and not is_read(job) else None


def is_completed(job: Job) -> bool:
    """Return whether the model's answer is there; a result that cannot be read comes with an error instead."""
    return job.status == "completed" and job.error is None


def is_read(job: Job) -> bool:
    """Return whether the job is completed and comes without its answer, which is not kept once it was read."""
    return not job.store and is_completed(job) and job.result is None


def seconds(time: str) -> int:
    """Return a job's time as seconds since 1970."""
    return int(datetime.fromisoformat(time).timestamp())


def _status(job: Job, cut: str | None) -> Any:
    if is_completed(job):
        return "incomplete" if cut else "completed"
    return "failed" if job.status in {"completed", "expired"} else job.status


def _error(job: Job) -> ResponseError | None:
    if job.status == "expired":
        return ResponseError(message="expired: No worker started this job in the time that it could wait.")
    if job.error is None:
        return None
    return ResponseError(message=f"{job.error.code}: {job.error.message}")


def _echo(request: ResponseRequest) -> dict[str, Any]:
    """Return the members that repeat the request, with the defaults that hold where it is silent."""

    def number(value: float | None, default: float) -> float:
        return default if value is None else value

    text = request.text.format if request.text else None
    choice = request.tool_choice or "auto"
    return {
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "model": request.model,
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        "reasoning": {"effort": request.reasoning.effort, "summary": None} if request.reasoning else None,
        "background": bool(request.background),
        "temperature": number(request.temperature, 1.0),
        "top_p": number(request.top_p, 1.0),
        "presence_penalty": number(request.presence_penalty, 0.0),
        "frequency_penalty": number(request.frequency_penalty, 0.0),
        "text": {
            "format": text.model_dump(exclude_none=True) if text else {"type": "text"},
            "verbosity": "medium",
        },
        "tool_choice": choice if isinstance(choice, str) else choice.model_dump(),
        "tools": [tool.model_dump() | {"strict": bool(tool.strict)} for tool in request.tools or []],
        "user": request.user,
        "safety_identifier": request.safety_identifier,
        "prompt_cache_key": request.prompt_cache_key,
    }


def _output(job_id: str, answer: Answer, status: str) -> list[dict[str, Any]]:
    """Return the output items: what the model thought, said, and called."""
    items: list[dict[str, Any]] = []
    if answer.reasoning:
        items.append(reasoning_item(job_id, answer.reasoning, status))
    if answer.text or not answer.calls:
        items.append(message_item(job_id, answer.text, status))
    return items + [call_item(job_id, place, call, status) for place, call in enumerate(answer.calls)]


def reasoning_item(job_id: str, text: str, status: str) -> dict[str, Any]:
    """Return what the model thought as an output item."""
    part = {"type": "reasoning_text", "text": text}
    return {"type": "reasoning", "id": _item_id("rs", job_id), "summary": [], "content": [part], "status": status}


def message_item(job_id: str, text: str, status: str) -> dict[str, Any]:
    """Return what the model said as an output item."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "type": "message",
        "id": _item_id("msg", job_id),
        "role": "assistant",
        "content": [part],
        "status": status,
    }


def call_item(job_id: str, place: int, call: Call, status: str) -> dict[str, Any]:
    """Return a call as an output item.

    Args:
        place: the call's place among the calls.
    """
    return {
        "type": "function_call",
        "id": f"{_item_id('fc', job_id)}_{place}",
        "call_id": call_id_of(job_id, place, call),
        "name": call.name,
        "arguments": call.arguments,
        "status": status,
    }


def _item_id(prefix: str, job_id: str) -> str:
    return f"{prefix}_{job_id.removeprefix(JOB_PREFIX)}"


def call_id_of(job_id: str, place: int, call: Call) -> str:
    """Return the id of a call: the server's, if input may have it, or one that is the same at every read."""
    is_usual = 1 <= len(call.id) <= MAX_ID
    return call.id if is_usual else f"call_{job_id.removeprefix(JOB_PREFIX)}_{place}"


def usage_of(figures: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the counts of tokens as responses have them; None if the server gave none."""
    count = token_counts(figures)
    if count is None:
        return None
    return {
        "input_tokens": count["prompt_tokens"],
        "input_tokens_details": {
            "cached_tokens": _detail(figures, "prompt_tokens_details", "cached_tokens"),
            "cache_write_tokens": 0,
        },
        "output_tokens": count["completion_tokens"],
        "output_tokens_details": {
            "reasoning_tokens": _detail(figures, "completion_tokens_details", "reasoning_tokens")
        },
        "total_tokens": count["total_tokens"],
    }


def token_counts(figures: Mapping[str, Any]) -> dict[str, int] | None:
    """Return the three counts that every server gives; None if one is missing."""
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    counts = {name: figures[name] for name in names if is_count(figures.get(name))}
    return counts if len(counts) == len(names) else None


def _detail(figures: Mapping[str, Any], group: str, name: str) -> int:
    details = figures.get(group)
    value: Any = details.get(name) if isinstance(details, dict) else None
    return int(value) if is_count(value) else 0


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
