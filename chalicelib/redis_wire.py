"""What is said to Redis and what it answers, as bytes: RESP2, the protocol that every Redis and Valkey speaks.

https://redis.io/docs/latest/develop/reference/protocol-spec/. It reads no socket, so that the router, which waits for
each answer, and the worker, which has many questions under way, share it.
"""

from typing import Any, Final

#: A string longer than this is no answer of ours: a job's result has at most 4 MiB, a page of them stays below 1 MiB.
MAX_STRING_BYTES = 64 * 1024 * 1024

#: What ``Replies.take`` answers as long as bytes are missing.
NOT_WHOLE: Final = object()

_STRING, _ARRAY, _INTEGER, _STATUS, _ERROR = b"$*:+-"
_KINDS = frozenset(b"$*:+-")
#: Errors and statuses are a line; no server's are as long.
_MAX_LINE_BYTES = 64 * 1024

type Argument = str | int | float


class RedisTrouble(Exception):
    """Redis did not do what it was asked."""


class Broken(RedisTrouble):
    """The connection could not be made, broke, was too slow, or speaks another protocol."""


class Refused(RedisTrouble):
    """Redis answered with an error, whose words these are."""


class _NotWhole(Exception):
    """Bytes are missing."""


def command(*parts: Argument) -> bytes:
    """A command as an array of strings."""
    pieces = [f"*{len(parts)}\r\n"]
    for part in parts:
        text = part if isinstance(part, str) else repr(part)
        size = len(text) if text.isascii() else len(text.encode())
        pieces.append(f"${size}\r\n{text}\r\n")
    return "".join(pieces).encode()


class Replies:
    """Takes bytes as they come and gives whole replies.

    Args:
        errors: what becomes of a string that is no UTF-8, as ``bytes.decode`` has it.
    """

    def __init__(self, errors: str = "strict") -> None:
        self._errors = errors
        self._raw = bytearray()
        self._at = 0

    def feed(self, raw: bytes) -> None:
        """What came next."""
        del self._raw[: self._at]
        self._at = 0
        self._raw += raw

    def take(self) -> Any:
        """The next reply: str, int, None, a list of these, or a Refused where it is an error; NOT_WHOLE before its end.

        Raises:
            Broken: it is no RESP2. What follows is of no use.
            UnicodeDecodeError: a string is no UTF-8; the same.
        """
        begun = self._at
        try:
            return self._value()
        except _NotWhole:
            self._at = begun
            return NOT_WHOLE

    def _value(self) -> Any:
        raw, begun = self._raw, self._at
        end = raw.find(b"\r\n", begun)
        if end < 0:
            raise self._line_without_end()
        self._at = end + 2
        kind, line = raw[begun], raw[begun + 1 : end]
        if kind == _STRING:
            return self._string(_number(line))
        if kind == _INTEGER:
            return _number(line)
        if kind == _ARRAY:
            return self._array(_number(line))
        if kind == _STATUS:
            return line.decode()
        if kind == _ERROR:
            return Refused(line.decode(errors="replace"))
        raise Broken("the reply is not RESP2")

    def _line_without_end(self) -> Exception:
        line = self._raw[self._at :]
        if line and (line[0] not in _KINDS or len(line) > _MAX_LINE_BYTES):
            return Broken("the reply is not RESP2")
        return _NotWhole()

    def _string(self, size: int) -> str | None:
        if size == -1:
            return None
        if not 0 <= size <= MAX_STRING_BYTES:
            raise Broken("the reply is larger than any of ours")
        begun, end = self._at, self._at + size
        if len(self._raw) < end + 2:
            raise _NotWhole
        self._at = end + 2
        return self._raw[begun:end].decode(errors=self._errors)

    def _array(self, size: int) -> list[Any] | None:
        if size == -1:
            return None
        values = [self._value() for _ in range(size)]
        if any(isinstance(value, Refused) for value in values):
            raise Broken("an error stands within a reply")
        return values


def _number(line: bytearray) -> int:
    try:
        return int(line)
    except ValueError:
        raise Broken("the reply is not RESP2") from None
