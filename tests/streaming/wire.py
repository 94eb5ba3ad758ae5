"""One HTTP/1.1 connection as a strict server sees it (RFC 9112): all but the plainest form is an AssertionError."""

import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

_REQUEST_LINE = re.compile(rb"(GET|POST) (/[!-~]*) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([!-~](?:[ !-~]*[!-~])?)")
_CHUNK_SIZE = re.compile(rb"0|[1-9a-f][0-9a-f]*")
MAX_CHUNK_BYTES = 64 * 1024
_CLOSED_WITHIN_SECONDS = 5.0


class Hung(Exception):
    """The other side, or this one, has hung up."""


@dataclass(frozen=True)
class Request:
    """A request's head. Names of headers are lower case, and none is repeated."""

    method: str
    target: str
    headers: dict[str, str]


class Wire:
    """A connection, read byte by byte as far as it was asked for."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._ahead = b""

    def request(self) -> Request:
        found = _REQUEST_LINE.fullmatch(self._line())
        assert found, "not a request line"
        headers = self._fields()
        assert "host" in headers
        return Request(found[1].decode(), found[2].decode(), headers)

    def chunks(self) -> Iterator[bytes]:
        """The chunks of a body; the line of the last one, which is empty, is read too."""
        while True:
            line = self._line()
            assert _CHUNK_SIZE.fullmatch(line), f"not the size of a chunk: {line!r}"
            size = int(line, 16)
            if size == 0:
                return
            assert size <= MAX_CHUNK_BYTES, size
            data = self.exactly(size)
            assert self.exactly(2) == b"\r\n", "a chunk that does not end where it said"
            yield data

    def trailers(self) -> dict[str, str]:
        return self._fields()

    def exactly(self, size: int) -> bytes:
        while len(self._ahead) < size:
            self._read()
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        return data

    def reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        assert self._ahead == b"", f"more than a request: {self._ahead[:40]!r}"
        fields = {"Content-Length": str(len(body))} | dict(headers or {})
        head = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            *(f"{name}: {value}" for name, value in fields.items()),
        ]
        self._connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def require_end(self) -> None:
        """Require that the other side closes the connection and sends nothing before."""
        self._connection.settimeout(_CLOSED_WITHIN_SECONDS)
        try:
            more = self._connection.recv(1)
        except TimeoutError:
            more = b"nothing, and is open"
        assert more == b"", "a connection that goes on behind a streamed response"

    def _fields(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        while line := self._line():
            found = _FIELD.fullmatch(line)
            assert found, f"not a header: {line!r}"
            name = found[1].decode().lower()
            assert name not in fields, f"{name} is repeated"
            fields[name] = found[2].decode()
        return fields

    def _line(self) -> bytes:
        while b"\r\n" not in self._ahead:
            assert b"\n" not in self._ahead, "a line that ends without CR"
            self._read()
        line, self._ahead = self._ahead.split(b"\r\n", 1)
        return line

    def _read(self) -> None:
        received = self._connection.recv(65_536)
        if not received:
            raise Hung
        self._ahead += received
