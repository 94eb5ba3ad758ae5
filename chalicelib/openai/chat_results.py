"""The answer of a chat job, whichever worker wrote it: whole, as the job's result, or in pieces while it is emitted.

Whoever can write to Redis can emit anything: a delta of another form is skipped, and none raises. At the end the pieces
are compared with the job's result.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple


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


type _Words = Literal["reasoning", "text"]


class Piece(NamedTuple):
    """A piece of the answer.

    Attributes:
        place: of a call, among the calls.
        call: the call of which ``text`` is a fragment of the arguments, with its id and its name.
        begins: whether it is the call's first piece.
    """

    kind: Literal["reasoning", "text", "call"]
    text: str
    place: int = 0
    call: Call | None = None
    begins: bool = False


class BrokenOff(Exception):
    """Raised when a stream has to end before its end. The reader is told why, and where to fetch the answer.

    Attributes:
        fetch: whether the answer can be fetched, now or later.
    """

    def __init__(self, code: str, message: str, *, fetch: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fetch = fetch


class LiveAnswer:
    """All that was emitted in one attempt."""

    def __init__(self) -> None:
        self._words: dict[_Words, list[str]] = {"reasoning": [], "text": []}
        self._by_index: dict[int, _LiveCall] = {}
        self._calls: list[_LiveCall] = []

    def pieces(self, delta: Mapping[str, Any]) -> Iterator[Piece]:
        """Yield the pieces in a delta; none if it is a handler's own object."""
        for kind, known in self._words.items():
            if text := _whole(delta.get(kind)):
                known.append(text)
                yield Piece(kind, text)
        fragment = delta.get("tool_call")
        if isinstance(fragment, Mapping):
            yield from self._fragment(fragment)

    def rest(self, answer: Answer) -> Iterator[Piece]:
        """Yield what the answer has and was not emitted. Raises BrokenOff if it does not begin as emitted."""
        whole: dict[_Words, str] = {"reasoning": answer.reasoning, "text": answer.text}
        for kind, emitted in self._words.items():
            if tail := _tail(emitted, whole[kind]):
                yield Piece(kind, tail)
        if len(self._calls) > len(answer.calls):
            raise _differs()
        for place, call in enumerate(answer.calls):
            if place >= len(self._calls):
                yield Piece("call", call.arguments, place, call, begins=True)
                continue
            known = self._calls[place]
            if (known.id, known.name) != (call.id, call.name):
                raise _differs()
            if tail := _tail(known.arguments, call.arguments):
                yield Piece("call", tail, place, call)

    def _fragment(self, fragment: Mapping[str, Any]) -> Iterator[Piece]:
        """Yield a piece of a call. What comes before the call's name waits for it."""
        index = fragment.get("index")
        if not isinstance(index, int) or isinstance(index, bool):
            return
        call = self._by_index.setdefault(index, _LiveCall())
        text = _whole(fragment.get("arguments"))
        call.arguments.append(text)
        if call.name:
            if text:
                yield Piece("call", text, call.place, call.shown())
            return
        call.id = call.id or _whole(fragment.get("id"))
        call.name = _whole(fragment.get("name"))
        if call.name:
            call.place = len(self._calls)
            self._calls.append(call)
            yield Piece("call", "".join(call.arguments), call.place, call.shown(), begins=True)


class _LiveCall:
    """A function's call as far as it was emitted. It has a place once it has a name, like the calls of a result."""

    def __init__(self) -> None:
        self.place = 0
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    def shown(self) -> Call:
        return Call(self.id, self.name, "")


def restarted() -> BrokenOff:
    """Return the end of a stream of which a part was sent that another attempt has made void."""
    return BrokenOff("restarted", "The attempt that wrote this failed, and another one began anew.")


def already_read() -> BrokenOff:
    """Return the end of a stream of an answer that is not kept."""
    return BrokenOff("not_found", "The answer is not stored, and another request has read it.", fetch=False)


def _differs() -> BrokenOff:
    return BrokenOff("changed", "The answer is not what the worker had emitted.")


def _tail(emitted: list[str], whole: str) -> str:
    known = "".join(emitted)
    if not whole.startswith(known):
        raise _differs()
    return whole[len(known) :]


def _whole(value: Any) -> str:
    """Return a text; an empty one for anything else, and for half a character, which UTF-8 cannot carry."""
    text = _string(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return ""
    return text
