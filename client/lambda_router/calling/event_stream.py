"""Server-sent events out of bytes that come in pieces of any size.

Lines end in LF or CR LF, as this server's do. They are split as bytes, so that neither a character that two pieces
share nor an unusual line separator inside JSON does harm.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from lambda_router.errors import BadServer
from lambda_router.http import object_in

#: More than the last event of a stream has: a whole response of the largest result.
MAX_EVENT_BYTES = 32 * 1024 * 1024
DONE = "[DONE]"


def events_in(pieces: Iterable[bytes]) -> Iterator[dict[str, Any] | None]:
    """Yield the JSON of each event, and None for each comment, which says that the server is there.

    ``[DONE]`` ends it. Bytes after the last whole event are dropped, since the rest is missing.

    Raises:
        BadServer: an event is no JSON object, or too long.
    """
    data: list[bytes] = []
    for line in _lines(pieces, data):
        if not line:
            if data:
                document = _document(b"\n".join(data))
                data.clear()
                if document is None:
                    return
                yield document
        elif line.startswith(b":"):
            yield None
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))


def _lines(pieces: Iterable[bytes], data: list[bytes]) -> Iterator[bytes]:
    """Yield lines. ``data`` is what the reader keeps of them, which is limited together with the rest."""
    rest = bytearray()
    for piece in pieces:
        rest += piece
        if b"\n" in piece:
            *lines, last = bytes(rest).split(b"\n")
            rest = bytearray(last)
            for line in lines:
                yield line.removesuffix(b"\r")
        if len(rest) + sum(map(len, data)) > MAX_EVENT_BYTES:
            raise BadServer(f"an event of the stream has more than {MAX_EVENT_BYTES} bytes")


def _document(text: bytes) -> dict[str, Any] | None:
    if text.strip() == DONE.encode():
        return None
    found = object_in(text)
    if found is None:
        raise BadServer("an event of the stream is no JSON object")
    return found
