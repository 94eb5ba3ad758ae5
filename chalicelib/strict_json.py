"""Strict JSON, for request bodies, tokens and key sets alike.

Python's ``json`` accepts NaN, duplicate keys, overflowing numbers and lone surrogates, and raises ``RecursionError`` on
deep nesting. Here each of them is rejected with its own message (RFC 8259, RFC 7493 section 2).
"""

import json
import math
from typing import Any, Never

from pydantic_core import from_json

MAX_NUMBER_CHARACTERS = 128
#: An error quotes a member's name up to this length.
MAX_NAME_CHARACTERS = 64


class NotStrictJSON(ValueError):
    """The text is not JSON as this service accepts it."""


def strict_json(raw: bytes) -> Any:
    """Parse UTF-8 JSON strictly.

    Raises:
        NotStrictJSON: says what is wrong, and quotes at most a name or the start of a number.
    """
    try:
        text = raw.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise NotStrictJSON(f"byte {error.start} is not UTF-8") from None
    try:
        from_json(text, allow_inf_nan=False)  # rejects lone surrogates and nesting over 200, with line and column
        return _DECODER.decode(text)
    except NotStrictJSON:
        raise
    except (ValueError, RecursionError) as error:
        raise NotStrictJSON(str(error)) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrictJSON(f"duplicate member {_duplicate(pairs)[:MAX_NAME_CHARACTERS]!r} in one object")
    return members


def _duplicate(pairs: list[tuple[str, Any]]) -> str:
    """Return the first name that occurs again. It takes one pass, since a caller chooses the number of names."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    raise AssertionError("no name stands there twice")


def _refuse_constant(name: str) -> Never:
    raise NotStrictJSON(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    value = float(digits) if len(digits) <= MAX_NUMBER_CHARACTERS else math.inf
    if math.isinf(value):
        raise NotStrictJSON(f"the number {digits[:20]} is too large")
    return value


def _short_integer(digits: str) -> int:
    if len(digits) > MAX_NUMBER_CHARACTERS:
        raise NotStrictJSON(f"the number {digits[:20]}… has over {MAX_NUMBER_CHARACTERS} digits")
    return int(digits)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_short_integer
)
