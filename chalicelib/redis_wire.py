"""What is said to Redis and what it answers, as bytes: RESP2, the protocol that every Redis and Valkey speaks.

https://redis.io/docs/latest/develop/reference/protocol-spec/. Only what one client with one question at a time needs.
"""

from typing import Any, Protocol

#: A string longer than this is no answer of ours: a job's result has at most 4 MiB, a page of them stays below 1 MiB.
MAX_STRING_BYTES = 64 * 1024 * 1024

type Argument = str | int | float


class RedisTrouble(Exception):
    """Redis did not do what it was asked."""


class Broken(RedisTrouble):
    """The connection could not be made, broke, was too slow, or speaks another protocol."""


class Refused(RedisTrouble):
    """Redis answered with an error, whose words these are."""


class Stream(Protocol):
    """A buffered reader of what the server sends."""

    def readline(self) -> bytes: ...
    def read(self, size: int, /) -> bytes | None: ...


def command(*parts: Argument) -> bytes:
    """A command as an array of strings."""
    texts = [part.encode() if isinstance(part, str) else repr(part).encode() for part in parts]
    pieces = [b"*%d\r\n" % len(texts)]
    for text in texts:
        pieces.append(b"$%d\r\n%b\r\n" % (len(text), text))
    return b"".join(pieces)


def reply(stream: Stream) -> Any:
    """The next reply: str, int, None, or a list of these. Strings are UTF-8.

    Raises:
        Refused: it is an error.
        Broken: it is not whole, or no RESP2. The stream is of no more use.
    """
    line = stream.readline()
    if line[-2:] != b"\r\n":
        raise Broken("the reply is not whole")
    kind = line[:1]
    if kind == b"$":
        return _string(stream, _number(line))
    if kind == b"*":
        return _array(stream, _number(line))
    if kind == b":":
        return _number(line)
    if kind == b"+":
        return line[1:-2].decode()
    if kind == b"-":
        raise Refused(line[1:-2].decode(errors="replace"))
    raise Broken("the reply is not RESP2")


def _number(line: bytes) -> int:
    try:
        return int(line[1:-2])
    except ValueError:
        raise Broken("the reply is not RESP2") from None


def _string(stream: Stream, size: int) -> str | None:
    if size == -1:
        return None
    if not 0 <= size <= MAX_STRING_BYTES:
        raise Broken("the reply is larger than any of ours")
    raw = stream.read(size + 2) or b""
    if len(raw) != size + 2:
        raise Broken("the reply is not whole")
    return raw[:-2].decode()


def _array(stream: Stream, size: int) -> list[Any] | None:
    try:
        return None if size == -1 else [reply(stream) for _ in range(size)]
    except Refused:
        raise Broken("an error stands within a reply") from None  # and what follows it was not read
