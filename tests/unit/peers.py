"""Peers that a probe can meet: an API that is well or not, something else in its place, or nothing at all."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer

HEALTH = {"status": "ok", "version": "1.2.3+gabc", "function_version": "7"}
#: What API Gateway puts into every answer.
GATEWAY = {"x-amzn-RequestId": "9f5b2a0e-1111-4222-8333-444455556666"}
NO_NAME = "http://no-such-host.invalid"
#: Nothing listens at port 1 of any machine that runs these tests.
CLOSED_PORT = "http://127.0.0.1:1"


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int
    kind: str = "application/json"
    body: str = "{}"
    ours: bool = True

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Type": self.kind, "Content-Length": str(len(self.body))} | (GATEWAY if self.ours else {})


REFUSED = Said(401, "application/problem+json")
PROXY_502 = Said(502, "text/html", "<h1>Bad Gateway</h1>", ours=False)
BROKEN = Said(502, "application/json", '{"message": "Internal server error"}')


def healthy(**members: str) -> Said:
    return Said(200, body=json.dumps(HEALTH | members))


@contextmanager
def api(answer: Callable[[str], Said]) -> Iterator[str]:
    """The URL of an HTTP server that answers a request for a path with that."""

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = answer(self.path)
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said.body.encode())

        do_GET = do_POST = respond  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def well(path: str) -> Said:
    return healthy() if path == "/health" else REFUSED


@contextmanager
def silent() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def resetting() -> Iterator[str]:
    """Reads a request and resets the connection (RST instead of FIN)."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_reset_all, args=[listening], daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def _reset_all(listening: socket.socket) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            connection.recv(65536)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
