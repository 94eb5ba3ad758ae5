"""Lambda's Runtime API on loopback, for streamed responses: it follows AWS's published protocol to the byte, or lies.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and, for streams,
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming. Whatever a runtime
does otherwise is a violation, and fails the test at the end of the ``with`` block.
"""

import base64
import json
import queue
import re
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.streaming.wire import Hung, Request, Wire

LONG = 20.0
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:router-stream:live"
TRACE = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0"
DELIMITER = b"\0" * 8

_NEXT = "/2018-06-01/runtime/invocation/next"
_OF_INVOCATION = re.compile(r"/2018-06-01/runtime/invocation/([\w-]+)/(response|error)", re.ASCII)
_START_ERROR = "/2018-06-01/runtime/init/error"
_ERROR_TYPE, _ERROR_BODY = "lambda-runtime-function-error-type", "lambda-runtime-function-error-body"
#: By AWS's pages, and that no other header is sent but Host.
_OF_RESPONSE = {
    "lambda-runtime-function-response-mode": "streaming",
    "transfer-encoding": "chunked",
    "content-type": "application/vnd.awslambda.http-integration-response",
    "trailer": "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
}


class Lies(NamedTuple):
    """How the double leaves the protocol for one invocation.

    Attributes:
        headers: of the event, instead of the true ones; None leaves one out.
        next_status: instead of 200.
        hangs_up_after: bytes of the response's body.
        stops_reading_after: the same, but the connection stays open.
        status: of the reply to the response or error.
    """

    headers: dict[str, str | None] = {}  # noqa: RUF012  # never changed
    next_status: int = 200
    hangs_up_after: int | None = None
    stops_reading_after: int | None = None
    status: int = 202


@dataclass
class Invoked:
    """An invocation, and what has come of it so far.

    Attributes:
        arrived: the chunks of the body, as they arrive.
        error: what was reported instead of a response, with its type under ``header``.
    """

    event: bytes
    lies: Lies
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    arrived: queue.Queue[bytes] = field(default_factory=queue.Queue)
    over: threading.Event = field(default_factory=threading.Event)
    sent: bytearray = field(default_factory=bytearray)
    largest_chunk: int = 0
    trailers: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    ended: bool = False

    def wait(self) -> Self:
        assert self.over.wait(LONG), "no response"
        return self

    @property
    def metadata(self) -> Any:
        raw, delimiter, _ = bytes(self.sent).partition(DELIMITER)
        assert delimiter == DELIMITER
        return json.loads(raw)

    @property
    def body(self) -> bytes:
        return bytes(self.sent).partition(DELIMITER)[2]

    @property
    def failure(self) -> Any:
        """What the trailers report: type and body, which is JSON in Base64."""
        report = json.loads(base64.b64decode(self.trailers[_ERROR_BODY], validate=True))
        return report | {"header": self.trailers[_ERROR_TYPE]}


class RuntimeDouble:
    """One function's Runtime API, listening while it is entered."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.start_error: dict[str, Any] | None = None
        self.failed_to_start = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._events: queue.Queue[Invoked | None] = queue.Queue()
        self._invoked: dict[str, Invoked] = {}
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._connections: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        self._accepting.join(LONG)  # it may just have accepted one more
        for thread in self._connections:
            thread.join(LONG)
        if kind is None:
            assert self.violations == []

    @property
    def address(self) -> str:
        """The value of ``AWS_LAMBDA_RUNTIME_API``."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def invoke(self, event: Any, lies: Lies = Lies()) -> Invoked:  # noqa: B008  # an immutable value
        """Hand an event, bytes or what becomes JSON, to the runtime as soon as it asks for one."""
        raw = event if isinstance(event, bytes) else json.dumps(event).encode()
        invoked = Invoked(raw, lies)
        self._events.put(invoked)
        return invoked

    def stop(self) -> None:
        """Hang up on a runtime that waits for an event, and take no connection more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._events.put(None)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=[connection], daemon=True)
                self._connections.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            wire = Wire(connection)
            try:
                self._reply(wire, wire.request())
            except (Hung, OSError):
                pass  # a runtime that is stopped, or that the test has hang up
            except AssertionError as violation:
                self.violations.append(str(violation))

    def _reply(self, wire: Wire, request: Request) -> None:
        if request.target == _NEXT:
            self._next(wire, request)
        elif request.target == _START_ERROR:
            self.start_error = _report(wire, request)
            wire.reply(202)
            self.failed_to_start.set()
        else:
            found = _OF_INVOCATION.fullmatch(request.target)
            assert found, f"no such path: {request.target}"
            assert request.method == "POST"
            invoked = self._invoked.pop(found[1], None)
            assert invoked is not None, f"{found[2]} for an invocation that is unknown, or has its response"
            try:
                (_take_response if found[2] == "response" else _take_error)(wire, request, invoked)
            finally:
                invoked.over.set()

    def _next(self, wire: Wire, request: Request) -> None:
        assert request.method == "GET"
        assert "content-length" not in request.headers
        assert self._invoked == {}, "the next event before the last one has its response"
        invoked = self._events.get()
        if invoked is None:
            self._events.put(None)
            return  # hangs up
        true = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invoked.request_id,
            "Lambda-Runtime-Deadline-Ms": str(round(time.time() * 1000) + 29_000),
            "Lambda-Runtime-Invoked-Function-Arn": ARN,
            "Lambda-Runtime-Trace-Id": TRACE,
        }
        told = {name: value for name, value in (true | invoked.lies.headers).items() if value is not None}
        self._invoked[invoked.request_id] = invoked
        wire.reply(invoked.lies.next_status, invoked.event, told)


def _take_response(wire: Wire, request: Request, invoked: Invoked) -> None:
    others = {name: value for name, value in request.headers.items() if name != "host"}
    assert others == _OF_RESPONSE, others
    for chunk in wire.chunks():
        invoked.largest_chunk = max(invoked.largest_chunk, len(chunk))
        before = len(invoked.body) if DELIMITER in invoked.sent else None
        invoked.sent += chunk
        if before is not None:
            invoked.arrived.put(chunk)
        _lie(wire, invoked)
    invoked.trailers = wire.trailers()
    assert invoked.trailers.keys() in (set(), {_ERROR_TYPE, _ERROR_BODY}), invoked.trailers
    invoked.ended = True
    wire.reply(invoked.lies.status)
    wire.require_end()


def _lie(wire: Wire, invoked: Invoked) -> None:
    if invoked.lies.hangs_up_after is not None and len(invoked.body) >= invoked.lies.hangs_up_after:
        raise Hung
    if invoked.lies.stops_reading_after is not None and len(invoked.body) >= invoked.lies.stops_reading_after:
        invoked.over.wait(LONG)


def _take_error(wire: Wire, request: Request, invoked: Invoked) -> None:
    invoked.error = _report(wire, request)
    if invoked.lies.hangs_up_after is not None:
        raise Hung
    wire.reply(invoked.lies.status)


def _report(wire: Wire, request: Request) -> dict[str, Any]:
    assert request.method == "POST"
    report = json.loads(wire.exactly(int(request.headers["content-length"])))
    assert report.keys() == {"errorType", "errorMessage", "stackTrace"}
    assert re.fullmatch(r"(Runtime|Function)\.[\x21-\x7e]+", request.headers[_ERROR_TYPE])
    return report | {"header": request.headers[_ERROR_TYPE]}
