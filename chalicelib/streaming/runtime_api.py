"""Client of Lambda's Runtime API, as far as a runtime needs it that streams every response.

The protocol: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, and for streams
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming. Each call has a
connection of its own: the one of a streamed response has to be closed at its end.
"""

import base64
import json
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

from chalicelib.streaming.invocation import Invocation

_RUNTIME = "/2018-06-01/runtime"
_INTEGRATION_RESPONSE = "application/vnd.awslambda.http-integration-response"
_ERROR_TYPE, _ERROR_BODY = "Lambda-Runtime-Function-Error-Type", "Lambda-Runtime-Function-Error-Body"
_STREAMING = {
    "Content-Type": _INTEGRATION_RESPONSE,
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Transfer-Encoding": "chunked",
    "Trailer": f"{_ERROR_TYPE}, {_ERROR_BODY}",
}
#: Larger pieces are split, so that the first bytes of one are not held up by its last.
MAX_CHUNK_BYTES = 64 * 1024
#: For a report of an error. A call to the same machine takes far less.
_REPORT_SECONDS = 5.0


class RuntimeApiFailed(Exception):
    """There is no event to be had, or the environment is broken: the process has to end, and Lambda starts another."""


class ResponseNotTaken(Exception):
    """The Runtime API does not take the response, or the rest of it. The next event is not affected."""


class Failure(NamedTuple):
    """An error as the Runtime API takes it.

    Attributes:
        kind: in the form ``category.reason``, as AWS recommends. ASCII.
        message: for whoever invoked the function.
        stack: places in the code.
    """

    kind: str
    message: str
    stack: tuple[str, ...] = ()

    @classmethod
    def of(cls, category: str, error: Exception, message: str, stack: tuple[str, ...] = ()) -> "Failure":
        """Return the report of an exception."""
        name = type(error).__name__.encode("ascii", "backslashreplace").decode()
        return cls(f"{category}.{name}", message, stack)

    def to_json(self) -> bytes:
        report = {"errorType": self.kind, "errorMessage": self.message, "stackTrace": self.stack}
        return json.dumps(report).encode()


class ResponseStream:
    """The body of one response, sent in chunks. Every method raises ResponseNotTaken."""

    def __init__(self, connection: HTTPConnection, invocation: Invocation) -> None:
        self._connection = connection
        self._invocation = invocation

    def write(self, piece: bytes) -> None:
        """Send a piece at once. Of an empty one nothing is sent: an empty chunk would end the body."""
        with _taken():
            _require_peer(self._socket())
            for start in range(0, len(piece), MAX_CHUNK_BYTES):
                chunk = piece[start : start + MAX_CHUNK_BYTES]
                self._socket().sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    def end(self) -> None:
        """End the body, complete."""
        self._finish(b"0\r\n\r\n")

    def fail(self, failure: Failure) -> None:
        """End the body and report, in trailers, that it is not complete."""
        body = base64.b64encode(failure.to_json()).decode()
        self._finish(f"0\r\n{_ERROR_TYPE}: {failure.kind}\r\n{_ERROR_BODY}: {body}\r\n\r\n".encode("ascii"))

    def _finish(self, last: bytes) -> None:
        with _taken():
            self._socket().sendall(last)
            status = _status(self._connection)
        _require_accepted(status)

    def _socket(self) -> socket.socket:
        """Return the connection's socket, with no more time than the invocation has."""
        sock: socket.socket = self._connection.sock
        sock.settimeout(max(0.001, self._invocation.seconds_left()))  # zero would mean: do not block
        return sock


class RuntimeApi:
    """The Runtime API at ``AWS_LAMBDA_RUNTIME_API``, host and port."""

    def __init__(self, address: str) -> None:
        self._address = address

    def next(self) -> Invocation:
        """Wait for the next event. Lambda freezes the process meanwhile, so the wait has no limit.

        Raises:
            RuntimeApiFailed: there is none to be had.
        """
        connection = HTTPConnection(self._address)
        try:
            connection.request("GET", f"{_RUNTIME}/invocation/next")
            reply = connection.getresponse()
            event = reply.read()
        except (OSError, HTTPException) as error:
            raise RuntimeApiFailed(f"no event from the Runtime API: {error!r}") from None
        finally:
            connection.close()
        request_id = reply.headers.get("Lambda-Runtime-Aws-Request-Id", "")
        if reply.status != 200 or not request_id:
            raise RuntimeApiFailed(f"no event from the Runtime API: status {reply.status}, request id {request_id!r}")
        return Invocation.of(request_id, reply.headers, event)

    @contextmanager
    def response(self, invocation: Invocation) -> Iterator[ResponseStream]:
        """Begin a response. At the end of the block the connection closes, whether the body was ended or not.

        Raises:
            ResponseNotTaken: it could not be begun.
        """
        connection = HTTPConnection(self._address, timeout=max(0.001, invocation.seconds_left()))
        try:
            with _taken():
                path = f"{_RUNTIME}/invocation/{invocation.request_id}/response"
                connection.putrequest("POST", path, skip_accept_encoding=True)
                for name, value in _STREAMING.items():
                    connection.putheader(name, value)
                connection.endheaders()
            yield ResponseStream(connection, invocation)
        finally:
            connection.close()

    def report(self, invocation: Invocation, failure: Failure) -> None:
        """Report that an invocation failed; only before its response has begun. Raises ResponseNotTaken."""
        self._report(f"invocation/{invocation.request_id}/error", failure)

    def report_start(self, failure: Failure) -> None:
        """Report that the function cannot start. Raises ResponseNotTaken."""
        self._report("init/error", failure)

    def _report(self, path: str, failure: Failure) -> None:
        connection = HTTPConnection(self._address, timeout=_REPORT_SECONDS)
        headers = {"Content-Type": "application/json", _ERROR_TYPE: failure.kind}
        try:
            with _taken():
                connection.request("POST", f"{_RUNTIME}/{path}", failure.to_json(), headers)
                status = _status(connection)
        finally:
            connection.close()
        _require_accepted(status)


@contextmanager
def _taken() -> Iterator[None]:
    """Turn the errors of a connection into ResponseNotTaken."""
    try:
        yield
    except (OSError, HTTPException) as error:
        raise ResponseNotTaken(repr(error)) from None


def _status(connection: HTTPConnection) -> int:
    reply = connection.getresponse()
    reply.read()
    return reply.status


def _require_accepted(status: int) -> None:
    if status >= 500:  # by the protocol a state that the environment does not recover from
        raise RuntimeApiFailed(f"the Runtime API replies with status {status}")
    if status >= 300:
        raise ResponseNotTaken(f"status {status}")


def _require_peer(sock: socket.socket) -> None:
    """Raise ConnectionError if the other side has closed the connection, which the first write after it would not."""
    readable, _, _ = select.select([sock], [], [], 0)
    if readable and not sock.recv(1, socket.MSG_PEEK):
        raise ConnectionAbortedError("closed by the Runtime API")
