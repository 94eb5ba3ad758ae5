"""Deltas of one attempt, joined to few pieces: the form in which live output is stored."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import from_json

from lambda_router_worker.job import Delta
from lambda_router_worker.outcomes import JobFailed
from lambda_router_worker.texts import whole_text

#: Most characters of a piece. A page of pieces goes through Lambda.
MOST_CHARACTERS = 16 * 1024
#: Most bytes of an object, as JSON, that a handler emits: it cannot be split.
MAX_OBJECT_BYTES = 64 * 1024

#: Most characters that one attempt may emit: text and thoughts, with twice the bytes of the largest result.
MAX_OUTPUT_CHARACTERS = 8 * 1024 * 1024

#: Members that are text and are joined.
_TEXTS = ("text", "reasoning")
#: Members of a call besides its ``index`` and ``arguments``. The first piece of a call has them.
_CALL = ("id", "name")
_MOST_CALLS = 1_000_000
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

#: One text of a job, whose pieces belong together: ``text``, ``reasoning``, or the arguments of the call at an index.
type _Channel = str | int


class Deltas:
    """Deltas that wait to be stored. The text that leaves is the text that came, however it is cut."""

    def __init__(self) -> None:
        self._waiting: list[dict[str, Any]] = []
        self._halves: dict[_Channel, str] = {}
        self._characters = 0

    def __bool__(self) -> bool:
        return bool(self._waiting or self._halves)

    def add(self, delta: Delta) -> None:
        """Add a delta to those that wait. Raises ValueError, JobFailed."""
        given = list(_checked(delta))
        self._characters += sum(map(_characters_of, given))
        if self._characters > MAX_OUTPUT_CHARACTERS:
            raise JobFailed("result_too_large", f"The output has more than {MAX_OUTPUT_CHARACTERS} characters.")
        for part in given:
            self._take(part)

    def pieces(self, *, is_end: bool) -> list[str]:
        """Return what waits as JSON, a text for each piece, and forget it.

        Half a surrogate pair stays until the other half comes, or the end.
        """
        waiting, self._waiting = self._waiting, []
        if is_end:
            waiting += [_delta_of(channel, half) for channel, half in self._halves.items()]
            self._halves = {}
        return [_ENCODER.encode(part) for delta in waiting for part in _split(delta)]

    def _take(self, part: dict[str, Any]) -> None:
        channel = _channel(part)
        if channel is None:
            self._waiting.append(part)
            return
        text = self._halves.pop(channel, "") + _text_of(part)
        if "\ud800" <= text[-1:] <= "\udbff":
            self._halves[channel], text = text[-1], text[:-1]
        if not text and _is_only_text(part):
            return
        if not (self._waiting and _joined(self._waiting[-1], channel, part, text)):
            self._waiting.append(_with_text(part, text))


def _checked(delta: Any) -> Iterator[dict[str, Any]]:
    """Yield the deltas that an emitted one consists of, as copies. Raises ValueError."""
    if isinstance(delta, str):
        yield {"text": delta}
    elif not isinstance(delta, Mapping):
        raise ValueError(f"emit() wants text or an object; found {type(delta).__name__}")
    elif all(name in _TEXTS and isinstance(value, str) for name, value in delta.items()):
        yield from ({name: value} for name, value in delta.items())
    elif len(delta) == 1 and (call := _call(delta.get("tool_call"))) is not None:
        yield {"tool_call": call}
    else:
        yield _object(delta)


def _call(given: Any) -> dict[str, Any] | None:
    """Return a copy of a piece of a call; None if it is something else, which a handler may emit as its own object."""
    if not isinstance(given, Mapping) or not given.keys() <= {"index", "arguments", *_CALL}:
        return None
    index, arguments = given.get("index"), given.get("arguments")
    if type(index) is not int or not 0 <= index < _MOST_CALLS or not isinstance(arguments, str):
        return None
    named = {name: given[name] for name in _CALL if name in given}
    if not all(isinstance(value, str | None) and len(value or "") <= MOST_CHARACTERS for value in named.values()):
        return None
    texts = {name: value if value is None else whole_text(value) for name, value in named.items()}
    return {"index": index} | texts | {"arguments": arguments}


def _object(delta: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a copy of a handler's own object. Raises ValueError unless readers will be able to read it."""
    try:
        text = whole_text(_ENCODER.encode(dict(delta))).encode()
        copy: dict[str, Any] = from_json(text, allow_inf_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("emit() wants an object that JSON can represent, nested at most 200 deep") from None
    if len(text) > MAX_OBJECT_BYTES:
        raise ValueError(f"emit() takes objects of at most {MAX_OBJECT_BYTES} bytes as JSON; emit several")
    return copy


def _channel(delta: dict[str, Any]) -> _Channel | None:
    """Return the text that a delta is a part of; None for a handler's own object."""
    (name, *others) = delta or [""]
    if others or name not in {*_TEXTS, "tool_call"}:
        return None
    value = delta[name]
    if name in _TEXTS:
        return name if isinstance(value, str) else None
    return value["index"] if isinstance(value, dict) and _call(value) is not None else None


def _text_of(delta: dict[str, Any]) -> str:
    (value,) = delta.values()
    text: str = value["arguments"] if isinstance(value, dict) else value
    return text


def _with_text(delta: dict[str, Any], text: str) -> dict[str, Any]:
    ((name, value),) = delta.items()
    return {name: value | {"arguments": text} if isinstance(value, dict) else text}


def _delta_of(channel: _Channel, text: str) -> dict[str, Any]:
    return {"tool_call": {"index": channel, "arguments": text}} if isinstance(channel, int) else {channel: text}


def _is_only_text(delta: dict[str, Any]) -> bool:
    """Return whether nothing is lost with an empty text: the first piece of a call has its name."""
    call = delta.get("tool_call")
    return call is None or not call.keys() & set(_CALL)


def _joined(last: dict[str, Any], channel: _Channel, part: dict[str, Any], text: str) -> bool:
    """Append the text to the last delta if it continues that. Return whether it does.

    Beyond the size of a piece there is nothing to gain, and long texts would be copied for each token.
    """
    if _channel(last) != channel or not _is_only_text(part) or len(_text_of(last)) + len(text) > MOST_CHARACTERS:
        return False
    last |= _with_text(last, _text_of(last) + text)
    return True


def _characters_of(delta: dict[str, Any]) -> int:
    is_text = _channel(delta) is not None and _is_only_text(delta)
    return len(_text_of(delta) if is_text else _ENCODER.encode(delta))


def _split(delta: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the delta; in several parts if its text is long. Surrogate halves are joined before it is cut."""
    channel = _channel(delta)
    if channel is None:
        yield delta
        return
    whole = whole_text(_text_of(delta))
    yield _with_text(delta, whole[:MOST_CHARACTERS])
    for start in range(MOST_CHARACTERS, len(whole), MOST_CHARACTERS):
        yield _delta_of(channel, whole[start : start + MOST_CHARACTERS])
