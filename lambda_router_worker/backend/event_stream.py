"""A parser for server-sent events, fed with bytes (https://html.spec.whatwg.org/multipage/server-sent-events.html).

httpx-sse reads decompressed text without a size limit, and only with the right content type. Hence this short parser.
"""

from collections.abc import Iterator
from typing import NamedTuple

from lambda_router_worker.backend.bounded_body import MAX_DOCUMENT_BYTES, too_large

#: Memory that a line takes in addition to its bytes.
_LINE_BYTES = 40


class Event(NamedTuple):
    name: str
    data: str


class EventReader:
    """Turns bytes into complete events. Comments and fields other than ``event`` and ``data`` are ignored."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # a line whose end has not arrived yet
        self._rest_held = 0
        self._after_return = False
        self._name = ""
        self._data: list[bytes] = []
        self._held = 0

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Yield the events that are complete now.

        Raises:
            JobFailed: an event is too large.
        """
        if self._after_return and piece.startswith(b"\n"):  # a line end was split between two pieces
            piece = piece[1:]
        if not piece:
            return
        self._after_return = piece.endswith(b"\r")
        lines = piece.splitlines()
        is_whole = piece.endswith((b"\n", b"\r"))
        if self._rest and (is_whole or len(lines) > 1):
            lines[0] = b"".join([*self._rest, lines[0]])
            self._rest.clear()
            self._rest_held = 0
        if not is_whole:
            self._rest.append(lines.pop())
            self._rest_held = self._more(self._rest_held, self._rest[-1])
        for line in lines:
            if not line:
                yield from self._take_event()
            elif not line.startswith(b":"):
                self._take_field(line)

    def end(self) -> Iterator[Event]:
        """Yield the last event if the stream ended without the empty line after it."""
        yield from self.feed(b"\n\n")

    def _more(self, held: int, part: bytes) -> int:
        held += len(part) + _LINE_BYTES
        if held > MAX_DOCUMENT_BYTES:
            raise too_large()
        return held

    def _take_event(self) -> Iterator[Event]:
        if data := b"\n".join(self._data):
            yield Event(self._name, data.decode(errors="replace"))
        self._name, self._held = "", 0
        self._data.clear()

    def _take_field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._held = self._more(self._held, value)
        elif field == b"event":
            self._name = value.decode(errors="replace")
