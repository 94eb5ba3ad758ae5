"""Requests of the OpenAI API as the bodies of chat jobs."""

from collections.abc import Sequence
from typing import Any

from chalicelib.openai.chat_messages import messages_of
from chalicelib.openai.completion_messages import chat_messages
from chalicelib.openai.completion_request import SAME, CompletionRequest
from chalicelib.openai.input_items import Item
from chalicelib.openai.response_request import (
    WINDOW_SECONDS,
    NamedFunction,
    ResponseRequest,
    SchemaFormat,
    function_of,
)

#: Members of a request, by those of the chat's input that are made of them. The last one stands for all others.
RESPONSE_NAMES = {
    "model": "model",
    "max_tokens": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "response_format": "text",
    "reasoning_effort": "reasoning",
    "metadata": "metadata",
    "": "input",
}
_COMPLETION_NAMES = {name: name for name in (*SAME, "tools", "metadata")} | {
    "max_tokens": "max_completion_tokens",
    "messages": "messages",
    "": "messages",
}


def completion_names(request: CompletionRequest) -> dict[str, str]:
    """Return the members of this request, by those of the chat's input that are made of them."""
    is_older = request.max_completion_tokens is None and request.max_tokens is not None
    return _COMPLETION_NAMES | ({"max_tokens": "max_tokens"} if is_older else {})


def job_of_response(request: ResponseRequest, items: Sequence[Item], most_tokens: int) -> dict[str, Any]:
    """Return the body of the chat job that a response is.

    Args:
        items: the conversation so far, and the request's input.

    Raises:
        UnknownCall: a function's output without its call.
    """
    given: dict[str, Any] = {
        "model": request.model,
        "messages": messages_of(request.instructions, items),
        "max_tokens": request.max_output_tokens or most_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "reasoning_effort": request.reasoning and request.reasoning.effort,
        "response_format": _response_format(request),
    }
    if request.tools:
        given["tools"] = [function_of(tool) for tool in request.tools]
        given["parallel_tool_calls"] = request.parallel_tool_calls
    if request.tools or request.tool_choice not in {None, "auto", "none"}:
        given["tool_choice"] = _tool_choice(request)
    window = request.background_options and request.background_options.completion_window
    later = {"priority": "low", "ttl_seconds": WINDOW_SECONDS[window]} if window in WINDOW_SECONDS else {}
    return _job(given, request.metadata, request.store) | later


def job_of_completion(request: CompletionRequest, most_tokens: int) -> dict[str, Any]:
    """Return the body of the chat job that a chat completion is."""
    sent = request.model_dump(exclude_none=True, include=set(SAME))
    given = sent | {
        "messages": chat_messages(request.messages),
        "max_tokens": request.max_completion_tokens or request.max_tokens or most_tokens,
        "tools": [tool.model_dump(exclude_none=True) for tool in request.tools] if request.tools else None,
    }
    if not request.tools and given.get("tool_choice") == "auto":
        del given["tool_choice"]
    return _job(given, request.metadata, request.store)


def _job(given: dict[str, Any], metadata: dict[str, str] | None, store: bool | None) -> dict[str, Any]:
    chat = {name: value for name, value in given.items() if value is not None}
    return {"type": "chat", "input": chat, "metadata": metadata or {}, "store": store is not False}


def _tool_choice(request: ResponseRequest) -> Any:
    choice = request.tool_choice
    if isinstance(choice, NamedFunction):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _response_format(request: ResponseRequest) -> Any:
    wanted = request.text.format if request.text else None
    if wanted is None or wanted.type == "text":
        return None
    if isinstance(wanted, SchemaFormat):
        return {"type": "json_schema", "json_schema": wanted.model_dump(exclude={"type"}, exclude_none=True)}
    return {"type": wanted.type}
