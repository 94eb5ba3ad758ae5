"""HTTP/1.1 for the local gateway: the requests that it accepts, and those that it rejects."""

import re
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from tools.local.gateway import HttpRequest
from tools.local.problems import Answer, problem_answer

if TYPE_CHECKING:
    from tools.local.server import LocalServer

#: API Gateway's own limit.
MAX_BODY_BYTES = 10 * 1024 * 1024
READ_TIMEOUT_SECONDS = 30.0
#: Seconds that a rejected client may go on sending before the connection is closed.
LINGER_SECONDS = 1.0

BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Refused(Exception):
    """The request cannot be read, and the rest of the connection cannot be trusted either."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.answer = problem_answer(status, detail)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # the default, 0.9, would answer a malformed request line without a status
    server_version = "lambda-router"
    sys_version = ""
    timeout = READ_TIMEOUT_SECONDS
    wbufsize = -1  # head and body in one packet: two make the client's delayed ACK cost 40 ms
    server: "LocalServer"

    def respond(self) -> None:
        """Answer one request."""
        with self.server.busy():
            try:
                body = self._read_body()
            except Refused as refused:
                self._refuse(refused.answer)
                return
            self._send(
                self.server.gateway.answer(HttpRequest(self.command, self.path, list(self.headers.items()), body))
            )

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = do_QUERY = respond  # noqa: N815

    def handle_expect_100(self) -> bool:
        """Check the announced length before asking for the body."""
        try:
            self._body_length()
        except Refused as refused:
            self._refuse(refused.answer)
            return False
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def send_error(self, code: int, *_: Any) -> None:
        """Answer what http.server rejects by itself; its own reply would be HTML that repeats the request line."""
        self._refuse(problem_answer(code, HTTPStatus(code).description))

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the app writes its own line for each request."""

    def _body_length(self) -> int:
        if self.headers.get("Transfer-Encoding") is not None:
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "Send the body with Content-Length instead of Transfer-Encoding.")
        lengths = self.headers.get_all("Content-Length", ["0"])
        if len(lengths) > 1 or not re.fullmatch(r"\d{1,15}", lengths[0].strip(), re.ASCII):
            raise Refused(HTTPStatus.BAD_REQUEST, "Content-Length must be sent once, as a whole number of bytes.")
        length = int(lengths[0])
        if length > MAX_BODY_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body may have at most {MAX_BODY_BYTES} bytes.")
        return length

    def _read_body(self) -> bytes:
        length = self._body_length()
        try:
            body = self.rfile.read(length)
        except TimeoutError:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, f"The body took more than {self.timeout:g} s.") from None
        if len(body) < length:
            raise Refused(HTTPStatus.BAD_REQUEST, f"The body ended after {len(body)} of {length} bytes.")
        return body

    def _send(self, answer: Answer) -> None:
        bodiless = answer.status in BODILESS
        self.send_response(answer.status)
        for name, value in answer.headers:
            if not (bodiless and name.lower() == "content-type"):
                self.send_header(name, value)
        if not bodiless:
            self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection or self.server.stopping.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        if not bodiless and self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def _refuse(self, answer: Answer) -> None:
        """Answer, drain and close: closing with unread bytes resets the connection and can lose the answer."""
        self.close_connection = True
        self._send(answer)
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER_SECONDS)
            deadline = time.monotonic() + LINGER_SECONDS
            while time.monotonic() < deadline and self.connection.recv(65_536):
                pass
