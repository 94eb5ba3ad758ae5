"""RESP2 command encoder and incremental reply parser, for every Redis and Valkey.

https://redis.io/docs/latest/develop/reference/protocol-spec/. It does no I/O, so that the router, which waits for each
reply, and the worker, which has many calls in progress, share it.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

#: Maximum length of a string in a reply: a job's result has at most 4 MiB, a page of them stays below 1 MiB.
MAX_STRING_BYTES = 64 * 1024 * 1024

#: Returned by ``Replies.take`` while bytes are missing.
NOT_WHOLE: Final = object()

_STRING, _ARRAY, _INTEGER, _STATUS, _ERROR = b"$*:+-"
_KINDS = frozenset(b"$*:+-")
#: From this many strings on, it is faster to parse them in one stretch, of at most this many bytes.
_MANY = 8
_STRETCH_BYTES = 16_384
#: Start of a string of less than 10 kB.
_SHORT_STRING = re.compile(rb"\$([0-9]{1,4})\r\n")
#: Errors and statuses are one line; no server's are this long.
_MAX_LINE_BYTES = 64 * 1024
#: Starts of short strings, prebuilt: formatting the same few numbers took a third of a command's time.
_SIZES = tuple(f"${size}" for size in range(256))

#: Reasons of ``Broken`` that identify the other end.
HANDSHAKE: Final = "no TLS handshake"
HTTP: Final = "the reply is HTTP"
TLS_ALERT: Final = "the reply is TLS"
NO_REDIS: Final = "the reply is not RESP2"
TOO_LARGE: Final = "the reply is larger than any of ours"
TOO_DEEP: Final = "the reply is nested deeper than any of ours"
SILENT_END: Final = "the server hung up without a word"
CERTIFICATE_WANTED: Final = "the server wants a certificate from its clients"

#: Starts of other protocols: a web server, including one that answers invalid HTTP with a bare page; and an alert of
#: TLS (RFC 8446, section 5.1: content type 21, then the version).
_STRANGERS = {b"HTTP/": HTTP, b"<": HTTP, b"\x15\x03": TLS_ALERT}

type Argument = str | int | float


class RedisTrouble(Exception):
    """Redis did not do what was requested."""


class Broken(RedisTrouble):
    """The connection could not be made, broke, was too slow, or uses another protocol."""


class Refused(RedisTrouble):
    """Redis replied with an error; the message is its text."""


class _NotWhole(Exception):
    """At least this many bytes are missing."""

    def __init__(self, missing: int) -> None:
        super().__init__(missing)
        self.missing = missing


def command(*parts: Argument) -> bytes:
    """Encode a command as an array of strings."""
    texts = [*map(str, parts)]
    whole = _array_of(texts, map(len, texts))
    if not whole.isascii():  # a string's length is in bytes
        whole = _array_of(texts, [len(text.encode()) for text in texts])
    return whole.encode()


def _array_of(texts: Sequence[str], sizes: Iterable[int]) -> str:
    lines = [""] * (2 * len(texts))
    lines[::2] = [_SIZES[size] if size < len(_SIZES) else f"${size}" for size in sizes]
    lines[1::2] = texts
    return f"*{len(texts)}\r\n{'\r\n'.join(lines)}\r\n"


class Replies:
    """An incremental parser: it takes bytes as they arrive and returns whole replies.

    Args:
        errors: how to treat a string that is not UTF-8, as in ``bytes.decode``.
    """

    def __init__(self, errors: str = "strict") -> None:
        self._errors = errors
        self._raw = b""
        self._at = 0
        self._unread: list[bytes] = []
        self._missing = 0
        #: Arrays that are not complete yet, the innermost first, and their lengths.
        self._begun: list[tuple[list[Any], int]] = []

    @property
    def are_none(self) -> bool:
        """True if nothing has arrived yet."""
        return not self._raw and not self._unread

    def feed(self, raw: bytes) -> None:
        """Add the bytes that arrived next."""
        self._unread.append(raw)
        self._missing -= len(raw)

    def take(self) -> Any:
        """Return the next reply, or NOT_WHOLE while it is incomplete.

        A reply is a str, an int, None, a list of these, or a Refused if it is an error.

        Raises:
            Broken: it is not RESP2, or larger or deeper than any of ours. The bytes that follow are useless.
            UnicodeDecodeError: a string is not UTF-8; the same applies.
        """
        if self._missing > 0:  # do not parse a long string again with every piece of it
            return NOT_WHOLE
        if self._unread:
            self._raw = b"".join([self._raw[self._at :], *self._unread])
            self._at = self._missing = 0
            self._unread.clear()
        try:
            return self._rest() if self._begun else self._value()
        except _NotWhole as not_whole:
            self._missing = not_whole.missing
            return NOT_WHOLE
        except RecursionError:
            raise Broken(TOO_DEEP) from None

    def _rest(self) -> Any:
        """Continue the reply that was begun. A page of megabytes arrives in many pieces; none is parsed twice."""
        begun, self._begun = self._begun, []
        value: Any = None
        for depth, (values, size) in enumerate(begun):
            if depth:
                values.append(value)
            try:
                value = self._filled(values, size)
            except _NotWhole:
                self._begun += begun[depth + 1 :]
                raise
        return value

    def _value(self) -> Any:
        raw, begun = self._raw, self._at
        end = raw.find(b"\r\n", begun)
        if end < 0:
            raise self._line_without_end()
        self._at = end + 2
        kind, line = raw[begun], raw[begun + 1 : end]
        if kind == _STRING:
            return self._string(begun, end + 2, _number(line))
        if kind == _INTEGER:
            return _number(line)
        if kind == _ARRAY:
            return self._array(_number(line))
        if kind == _STATUS:
            return line.decode()
        if kind == _ERROR:
            return Refused(line.decode(errors="replace"))
        raise Broken(_stranger(raw[begun:]))

    def _line_without_end(self) -> Exception:
        line = self._raw[self._at :]
        if line and (line[0] not in _KINDS or len(line) > _MAX_LINE_BYTES):
            return Broken(_stranger(line))
        return _NotWhole(1)

    def _string(self, begun: int, start: int, size: int) -> str | None:
        if size == -1:
            return None
        if not 0 <= size <= MAX_STRING_BYTES:
            raise Broken(TOO_LARGE)
        end = start + size
        if len(self._raw) < end + 2:
            self._at = begun
            raise _NotWhole(end + 2 - len(self._raw))
        self._at = end + 2
        return self._raw[start:end].decode("utf-8", self._errors)

    def _array(self, size: int) -> list[Any] | None:
        return None if size == -1 else self._filled([], size)

    def _filled(self, values: list[Any], size: int) -> list[Any]:
        """Return the array with its missing values. If the bytes end before, the values so far are kept."""
        missing = size - len(values)
        if _MANY <= missing <= _STRETCH_BYTES and (strings := self._strings(missing)):
            return values + strings
        raw, errors, at = self._raw, self._errors, self._at
        try:
            for _ in range(missing):
                if short := _SHORT_STRING.match(raw, at):
                    start = short.end()
                    end = start + int(short[1])
                    if end + 2 <= len(raw):  # most are, and parsed here they take half the time
                        values.append(raw[start:end].decode("utf-8", errors))
                        at = end + 2
                        continue
                self._at = at
                value = self._value()
                if type(value) is Refused:
                    raise Broken("an error stands within a reply")
                values.append(value)
                at = self._at
        except _NotWhole:
            self._begun.append((values, size))
            raise
        self._at = at
        return values

    def _strings(self, count: int) -> list[str]:
        """Return the next values, parsed in one stretch; none unless all are whole strings of one line, as most are."""
        rest = self._raw[self._at : self._at + _STRETCH_BYTES]
        lines = rest.split(b"\r\n", 2 * count)
        texts = lines[1:-1:2]
        if len(texts) < count or lines[:-1:2] != [b"$%d" % len(text) for text in texts]:
            return []
        self._at += len(rest) - len(lines[-1])
        return b"\r\n".join(texts).decode("utf-8", self._errors).split("\r\n")


def _number(line: bytes) -> int:
    try:
        return int(line)
    except ValueError:
        raise Broken(NO_REDIS) from None


def _stranger(said: bytes) -> str:
    """Return the name of the protocol that the other end uses instead."""
    return next((name for start, name in _STRANGERS.items() if said.startswith(start)), NO_REDIS)
