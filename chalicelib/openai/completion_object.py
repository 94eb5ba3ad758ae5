"""A job as a chat completion of the OpenAI API."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.errors import JobNotCompleted
from chalicelib.openai.chat_results import Answer, answer_of
from chalicelib.openai.response_object import JOB_PREFIX, call_id_of, is_completed, is_count, seconds, token_counts
from lambda_router_queue.models import Job

_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})


class ChatCompletion(BaseModel):
    """The answer to a chat."""

    model_config = ConfigDict(defer_build=True)

    id: str = Field(pattern=r"^chatcmpl-[0-9a-f]{32}$")
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any] | None
    service_tier: Literal["default"] = "default"
    system_fingerprint: str | None = None


def completion_of(job: Job, model: str) -> ChatCompletion:
    """Return the completion that a final job is. Raises JobNotCompleted if there is none."""
    require_completed(job)
    answer = answer_of(job.result)
    return ChatCompletion(
        id=completion_id_of(job.id),
        created=seconds(job.created_at),
        model=model,
        choices=[
            {"index": 0, "message": _message(job.id, answer), "logprobs": None, "finish_reason": reason_of(answer)}
        ],
        usage=completion_usage(answer.usage),
    )


def require_completed(job: Job) -> None:
    """Raise JobNotCompleted if the final job has no answer."""
    if not is_completed(job):
        error = job.error
        why = f"{error.code}: {error.message}" if error else f"The job {job.id} is {job.status}."
        raise JobNotCompleted(why, code=error.code if error else job.status)


def completion_id_of(job_id: str) -> str:
    return f"chatcmpl-{job_id.removeprefix(JOB_PREFIX)}"


def _message(job_id: str, answer: Answer) -> dict[str, Any]:
    text = answer.text if answer.text or not answer.calls else None
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": call_id_of(job_id, place, call),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for place, call in enumerate(answer.calls)
        ]
    return message | ({"reasoning_content": answer.reasoning} if answer.reasoning else {})


def completion_usage(figures: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the counts of tokens with their details, without what is no count; None if the server gave none."""
    counts = token_counts(figures)
    groups = {name: figures.get(name) for name in ("prompt_tokens_details", "completion_tokens_details")}
    details = {
        name: {detail: count for detail, count in group.items() if is_count(count)}
        for name, group in groups.items()
        if isinstance(group, dict)
    }
    return counts and counts | details


def reason_of(answer: Answer) -> str:
    """Return why the model stopped, in one of OpenAI's words."""
    if answer.finish_reason in _REASONS:
        return answer.finish_reason
    return "tool_calls" if answer.calls else "stop"
