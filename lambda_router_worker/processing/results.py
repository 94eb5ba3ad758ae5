"""A handler's result: its encoding as the JSON that is stored, and the tokens that it names."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

from pydantic import JsonValue
from pydantic_core import from_json

from lambda_router_worker.outcomes import JobFailed

#: Lambda returns at most 6 MB, with the body as a JSON string. A caller could never fetch more.
MAX_RESULT_BYTES = 4 * 1024 * 1024
MAX_ESCAPED_BYTES = 5_900_000

#: Deeper nesting cannot be read back. This is the limit of jiter, which parses JSON for pydantic.
_MAX_DEPTH = 200
#: The most tokens that one result can have: larger numbers are somebody's mistake.
_MOST_TOKENS = 1_000_000_000
#: Number of characters of a path that are shown.
_MAX_PATH = 200
_MEMBER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


class Usage(NamedTuple):
    """Tokens of one result, as its ``usage`` names them: those that the model read, and those that it wrote."""

    input: int = 0
    output: int = 0

    @classmethod
    def of(cls, result: Any) -> Self:
        """Return the tokens of a result. Anything but a number of tokens counts as 0: the server may send anything."""
        usage = dict.get(result, "usage") if isinstance(result, dict) else None
        if not isinstance(usage, dict):
            return cls()
        return cls(_tokens(dict.get(usage, "prompt_tokens")), _tokens(dict.get(usage, "completion_tokens")))


NO_TOKENS = Usage()


def encoded(result: JsonValue) -> str:
    """Return the result as JSON. Raises JobFailed if it is not JSON or too large; the message never shows a value."""
    try:
        value = _ENCODER.encode(result)
        size = len(value.encode())
        from_json(value, allow_inf_nan=False)  # the router must be able to read it back
    except (TypeError, ValueError, RecursionError):
        fault = next(_faults(result, "result", 0), "result cannot be written as JSON")
        raise JobFailed("result_not_json", f"The worker's result is not JSON: {fault}.") from None
    if size > MAX_RESULT_BYTES or _escaped_size(value, size) > MAX_ESCAPED_BYTES:
        raise JobFailed("result_too_large", f"The result has {size} bytes; {MAX_RESULT_BYTES} can be stored.")
    return value


def _tokens(value: Any) -> int:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= _MOST_TOKENS else 0


def _escaped_size(value: str, size: int) -> int:
    """Return the size in bytes of this JSON as a JSON string, or an upper bound if that is within the limit."""
    most = 2 * size + 2  # JSON contains no control characters, so escaping at most doubles a character
    return most if most <= MAX_ESCAPED_BYTES else len(json.dumps(value, ensure_ascii=False).encode())


def _faults(value: Any, path: str, depth: int) -> Iterator[str]:
    """Yield what in a value is not JSON, and where: ``result.items[3].when is a datetime``."""
    if depth == _MAX_DEPTH:
        yield f"{_shown(path)} is nested too deep, or contains itself"
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from _key_faults(key, path)
            yield from _faults(member, path + _step(key), depth + 1)
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from _faults(item, f"{path}[{place}]", depth + 1)
    elif (fault := _fault(value)) is not None:
        yield f"{_shown(path)} {fault}"


def _key_faults(key: Any, path: str) -> Iterator[str]:
    if not isinstance(key, str | int | float | None):
        yield f"{_shown(path)} has a key of type {type(key).__name__}"
    elif (fault := _fault(key)) is not None:
        yield f"{_shown(path)} has a key that {fault}"


def _fault(value: Any) -> str | None:
    """Return what is wrong with a value that contains no others, or None."""
    if isinstance(value, str):
        return None if _is_text(value) else "has half a surrogate pair"
    if isinstance(value, float):
        return None if math.isfinite(value) else "is NaN or infinite"
    if isinstance(value, int):
        return None if _is_short(value) else "is a number of too many digits"
    return None if value is None else f"is {_with_article(type(value).__name__)}"


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiouAEIOU' else 'a'} {noun}"


def _shown(path: str) -> str:
    return path if len(path) <= _MAX_PATH else f"{path[:_MAX_PATH]}…"


def _step(key: Any) -> str:
    """Return a member's step in a path. A name that is not a plain word may be part of a prompt and is not shown."""
    return f".{key}" if isinstance(key, str) and _MEMBER.fullmatch(key) else ".…"


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_short(value: int) -> bool:
    try:
        str(value)
    except ValueError:  # sys.set_int_max_str_digits
        return False
    return True
