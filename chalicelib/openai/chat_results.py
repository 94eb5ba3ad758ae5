"""The result of a chat job, whichever worker wrote it."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple


class Call(NamedTuple):
    """A function that the model called, with its arguments as JSON."""

    id: str
    name: str
    arguments: str


class Answer(NamedTuple):
    """The model's answer."""

    text: str
    reasoning: str
    calls: tuple[Call, ...]
    finish_reason: str
    usage: dict[str, Any]


def answer_of(result: Any) -> Answer:
    """Return the answer. The bundled worker writes an object with ``message``; of others, anything is accepted."""
    document = result if isinstance(result, dict) else {"text": result}
    given = document.get("message")
    message = given if isinstance(given, dict) else {"content": document.get("text"), **document}
    calls = message.get("tool_calls")
    usage = document.get("usage")
    return Answer(
        text=_text(message.get("content"), result, message is given or bool(document.keys() & {"text", "content"})),
        reasoning=_string(message.get("reasoning_content")),
        calls=tuple(_calls(calls)) if isinstance(calls, list) else (),
        finish_reason=_string(document.get("finish_reason")),
        usage=usage if isinstance(usage, dict) else {},
    )


def _text(content: Any, result: Any, is_answer: bool) -> str:
    """Return the content; the whole result as JSON if it is no answer of a model."""
    if isinstance(content, str):
        return content
    return "" if content is None and is_answer else json.dumps(result, ensure_ascii=False)


def _calls(calls: list[Any]) -> Iterator[Call]:
    """Yield the calls that name a function; nobody can answer the others."""
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and (name := _string(function.get("name"))):
            arguments = function.get("arguments")
            text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
            yield Call(_string(call.get("id")), name, text)


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""
