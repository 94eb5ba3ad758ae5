"""Lambda's Runtime API on loopback: hands events to a runtime interface client and takes its answers.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. The client dies without a word on an event that comes
without ``Lambda-Runtime-Trace-Id`` or ``Content-Type``.
"""

import json
import queue
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_INVOCATION = "/2018-06-01/runtime/invocation/"
_TIMEOUT_MS = 29_000


class FunctionFailed(Exception):
    """The function raised instead of answering, or could not be imported; the message is what the client reported."""


class RuntimeApi:
    """One function's Runtime API, listening while it is entered."""

    def __init__(self) -> None:
        self.events: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self.answers: queue.Queue[dict[str, Any] | FunctionFailed] = queue.Queue()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """The value of ``AWS_LAMBDA_RUNTIME_API``."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def invoke(self, event: dict[str, Any], seconds: float = 30.0) -> dict[str, Any]:
        """What the function answers to this event.

        Raises:
            FunctionFailed: it reported an error.
            queue.Empty: it did not answer in time.
        """
        self.events.put((str(uuid.uuid4()), event))
        answer = self.answers.get(timeout=seconds)
        if isinstance(answer, FunctionFailed):
            raise answer
        return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: RuntimeApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Silence: a function that is killed hangs up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The next invocation, as soon as there is one; or, to a function with a snapshot, that it was restored."""
        if self.path.endswith("/restore/next"):
            self._send(200, b"", {})
            return
        request_id, event = self.server.api.events.get()
        deadline = round(time.time() * 1000) + _TIMEOUT_MS
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:router:live",
            "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
        }
        self._send(200, json.dumps(event).encode(), headers)

    def do_POST(self) -> None:
        """A response, or an error of an invocation or of the start."""
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_answer = self.path.startswith(_INVOCATION) and self.path.endswith("/response")
        self.server.api.answers.put(said if is_answer else FunctionFailed(f"{self.path}: {json.dumps(said)}"))
        self._send(202, b'{"status":"OK"}', {"Content-Type": "application/json"})

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
