"""One chat completion, assembled from a whole response or from the chunks of a stream."""

import io
import json
from collections.abc import Callable
from typing import Any

from pydantic import JsonValue

from lambda_router_worker.backend.bounded_body import MAX_DOCUMENT_BYTES, too_large
from lambda_router_worker.backend.server_errors import invalid_answer
from lambda_router_worker.texts import whole_text

#: Usage objects longer than this are discarded: real ones hold a few numbers.
_MAX_USAGE_CHARACTERS = 16_384


type Emit = Callable[[dict[str, JsonValue]], None]


class Completion:
    """A chat completion in the making. Only the first choice counts.

    Reasoning is a part of the message, and not of the text.

    Args:
        emit: called with each piece of the message, for the job's live output.

    Attributes:
        begun: the model has produced some output.
        finished: the server has reported why the model stopped.
        streamed: it came in chunks.
    """

    def __init__(self, emit: Emit | None = None) -> None:
        self._emit_delta = emit
        self.begun = False
        self.finished = False
        self.streamed = False
        self._seen = False
        self._held = 0
        self._text = io.StringIO()
        self._reasoning = io.StringIO()
        self._tool_calls: list[dict[str, Any]] = []
        self._finish_reason: str | None = None
        self._model: str | None = None
        self._usage: JsonValue = None

    def take(self, document: Any) -> None:
        """Add a whole completion (``message``) or a chunk of one (``delta``).

        Raises:
            JobFailed: the document is neither, or the completion has become too large.
        """
        if not isinstance(document, dict):
            raise invalid_answer()
        self._model = _string(document.get("model")) or self._model
        self._usage = _usage(document.get("usage")) or self._usage
        choices = document.get("choices")
        if isinstance(choices, list) and choices:  # a stream's last chunk, with the usage, has none
            self._take_choice(choices[0])

    def require_some(self) -> None:
        """Raise JobFailed if no document contained a completion."""
        if not self._seen:
            raise invalid_answer()

    def result(self) -> dict[str, JsonValue]:
        """Return the result of a job that sent a prompt."""
        result: dict[str, JsonValue] = {
            "text": whole_text(self._text.getvalue()),
            "finish_reason": self._finish_reason,
            "model": self._model,
            "usage": self._usage,
        }
        return result | self._calls()

    def message(self) -> dict[str, JsonValue]:
        """Return the message of the assistant: what a chat sends back to continue."""
        text, reasoning = whole_text(self._text.getvalue()), whole_text(self._reasoning.getvalue())
        calls = self._calls()
        message: dict[str, JsonValue] = {"role": "assistant", "content": text if text or not calls else None}
        return message | calls | ({"reasoning_content": reasoning} if reasoning else {})

    def _calls(self) -> dict[str, JsonValue]:
        return {"tool_calls": [_whole_call(call) for call in self._tool_calls]} if self._tool_calls else {}

    def _take_choice(self, choice: Any) -> None:
        if not isinstance(choice, dict):
            raise invalid_answer()
        if choice.get("index") not in {0, None}:
            return
        if reason := _string(choice.get("finish_reason")):
            self._finish_reason, self.finished = reason, True
        self.streamed = self.streamed or "delta" in choice
        message = choice.get("delta") or choice.get("message")
        if isinstance(message, dict) or choice.get("delta") == {}:
            self._seen = True
        if isinstance(message, dict):
            self._take_message(message)

    def _take_message(self, message: dict[str, Any]) -> None:
        reasoning = _text(message.get("reasoning_content") or message.get("reasoning"))
        self._hold(len(reasoning))
        self._reasoning.write(reasoning)
        text = _text(message.get("content"))
        self._hold(len(text))
        self._text.write(text)
        for member, piece in (("reasoning", reasoning), ("text", text)):
            if piece:
                self._emit({member: piece})
        calls = message.get("tool_calls")
        for position, call in enumerate(calls if isinstance(calls, list) else []):
            self._take_call(position, call)
        self.begun = self.begun or bool(text or reasoning or calls)

    def _take_call(self, position: int, piece: Any) -> None:
        if not isinstance(piece, dict):
            return
        call = self._call_at(piece.get("index", position), piece.get("id"))
        call["id"] = _string(piece.get("id")) or call["id"]
        function = piece.get("function")
        if isinstance(function, dict):
            given = function.get("arguments")
            arguments = given if isinstance(given, str) else json.dumps(given) if given else ""
            self._hold(len(arguments))
            call["name"] = _string(function.get("name")) or call["name"]
            call["arguments"].write(arguments)
            self._emit_call(call, arguments)

    def _emit_call(self, call: dict[str, Any], arguments: str) -> None:
        """Emit a piece of a call. Without its name, nobody could make anything of it."""
        index = self._tool_calls.index(call)
        if call["is_shown"]:
            self._emit({"tool_call": {"index": index, "arguments": arguments}})
        elif call["name"]:
            call["is_shown"] = True
            whole = {"id": call["id"], "name": call["name"], "arguments": call["arguments"].getvalue()}
            self._emit({"tool_call": {"index": index, **whole}})

    def _call_at(self, index: Any, call_id: Any) -> dict[str, Any]:
        """Return the call that a chunk belongs to, by its index.

        A new id means a new call, because some servers always send index 0.
        """
        if isinstance(index, int) and 0 <= index < len(self._tool_calls):
            call = self._tool_calls[index]
            if not call_id or call["id"] in {None, call_id}:
                return call
        elif self._tool_calls and not call_id:
            return self._tool_calls[-1]
        self._hold(1_000)
        self._tool_calls.append({"id": None, "name": None, "arguments": io.StringIO(), "is_shown": False})
        return self._tool_calls[-1]

    def _emit(self, delta: dict[str, JsonValue]) -> None:
        if self._emit_delta is not None:
            self._emit_delta(delta)

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > MAX_DOCUMENT_BYTES:
            raise too_large()


def _text(content: Any) -> str:
    """Return a message's content as text: a string, parts, nothing, or a number that a template let through."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_text(part) for part in content if not isinstance(part, list))
    if isinstance(content, dict):
        return _string(content.get("text")) or ""
    return json.dumps(content)


def _usage(value: Any) -> JsonValue:
    """Return the server's figures, or None if JSON cannot represent them: llama.cpp and others have sent NaN here."""
    if not isinstance(value, dict):
        return None
    try:
        text = json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    figures: JsonValue = json.loads(whole_text(text))
    return figures if len(text) <= _MAX_USAGE_CHARACTERS else None


def _string(value: Any) -> str | None:
    return whole_text(value) if isinstance(value, str) else None


def _whole_call(call: dict[str, Any]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": whole_text(call["arguments"].getvalue())}
    return {"id": call["id"], "type": "function", "function": function}
