"""Model servers that do what a test says: answer, stream, hang, die, lie. Raw sockets, so that they can misbehave.

A script is a function that takes each request as a ``Call`` and answers it, or does not.
"""

import contextlib
import json
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

type Script = Callable[["Call"], None]

#: No test waits longer for a client to hang up.
LONGEST_SECONDS = 30.0


def chunk(text: str | None = None, finish_reason: str | None = None, **members: Any) -> dict[str, Any]:
    """One piece of a streamed completion."""
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta | members, "finish_reason": finish_reason}
    return {"object": "chat.completion.chunk", "model": "tinyllama-1.1b", "choices": [choice]}


def completion(text: Any, **members: Any) -> dict[str, Any]:
    """A whole completion, as a server sends that does not stream."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text} | members, "finish_reason": "stop"}
    return {"object": "chat.completion", "model": "tinyllama-1.1b", "choices": [choice], "usage": USAGE}


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
USAGE_CHUNK = {"object": "chat.completion.chunk", "model": "tinyllama-1.1b", "choices": [], "usage": USAGE}
GREETING = [chunk(""), chunk("Grü"), chunk("ße!"), chunk(finish_reason="stop"), USAGE_CHUNK]


def event(document: Any) -> bytes:
    text = document if isinstance(document, str) else json.dumps(document)
    return f"data: {text}\n\n".encode()


@dataclass(eq=False)
class Call:
    """One request, and the connection that it came on."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    socket: socket.socket
    keep: bool = True
    hung_up_at: float | None = None
    arrived_at: float = field(default_factory=time.monotonic)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def prompt(self) -> str:
        return str(self.json["messages"][-1]["content"])

    def send(self, raw: bytes) -> None:
        self.socket.sendall(raw)

    def head(self, status: int = 200, **headers: str) -> None:
        lines = [
            f"HTTP/1.1 {status} Whatever",
            *(f"{name.replace('_', '-')}: {text}" for name, text in headers.items()),
        ]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def answer(self, status: int, document: Any = b"", **headers: str) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        kind = {"Content_Type": "application/json"} | headers
        self.head(status, **kind, Content_Length=str(len(body)))
        self.send(body)

    def begin_stream(self, **headers: str) -> None:
        self.head(200, Content_Type="text/event-stream", Transfer_Encoding="chunked", **headers)

    def piece(self, raw: bytes) -> None:
        if raw:
            self.send(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")

    def end_stream(self) -> None:
        self.send(b"0\r\n\r\n")

    def stream(self, documents: Iterable[Any] = GREETING, *, done: bool = True) -> None:
        """A whole stream, well-formed."""
        self.begin_stream()
        for document in documents:
            self.piece(event(document))
        if done:
            self.piece(event("[DONE]"))
        self.end_stream()

    def wait_for_hangup(self, seconds: float = LONGEST_SECONDS) -> bool:
        """Whether the client hangs up within that time."""
        self.socket.settimeout(seconds)
        self.keep = False
        try:
            while self.socket.recv(65_536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        self.hung_up_at = time.monotonic()
        return True

    def drop(self) -> None:
        """Close the connection without another word."""
        self.keep = False

    def reset(self) -> None:
        """Break it off with RST."""
        self.keep = False
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class ModelServer(socketserver.ThreadingTCPServer):
    """Attributes: ``seen`` are the requests in their order, ``connections`` how many there were."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1_024

    def __init__(self, script: Script, port: int) -> None:
        self.script = script
        self.seen: list[Call] = []
        self.connections = 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Connection)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def completions(self) -> list[Call]:
        return [call for call in self.seen if call.path.endswith("/chat/completions")]


class _Connection(socketserver.StreamRequestHandler):
    server: ModelServer

    def handle(self) -> None:
        with self.server.lock:
            self.server.connections += 1
            number = self.server.connections
        with contextlib.suppress(OSError):
            while (call := self._read(number)) is not None:
                self.server.script(call)
                if not call.keep:
                    return

    def _read(self, number: int) -> Call | None:
        line = self.rfile.readline()
        if not line:
            return None
        if not line.endswith(b" HTTP/1.1\r\n"):  # TLS, for example
            self.connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            return None
        method, path, _ = line.decode().split()
        headers: dict[str, str] = {}
        while (line := self.rfile.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", "0")))
        call = Call(method, path, headers, body, number, self.connection)
        with self.server.lock:
            self.server.seen.append(call)
        return call


@contextmanager
def model_server(script: Script = Call.stream, port: int = 0) -> Iterator[ModelServer]:
    """A running model server."""
    with ModelServer(script, port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def listing(*names: str) -> Script:
    """A healthy server that lists these models and greets."""

    def script(call: Call) -> None:
        if call.path.endswith("/models"):
            call.answer(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in names]})
        else:
            call.stream()

    return script
