"""An issuer of signing keys on 127.0.0.1 that can misbehave in every way the tests ask for."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

from cryptography.hazmat.primitives.asymmetric import rsa

from chalicelib.callers.jwks import MAX_JWKS_BYTES
from lambda_router_queue.deadlines import QUESTION_SECONDS
from tests.conftest import public_jwk

type Mode = Callable[["Handler"], None]


@dataclass
class Issuer:
    """The server's state: what it publishes and how it behaves."""

    keys: list[dict[str, Any]]
    mode: Mode | None = None
    url: str = ""
    fetches: list[str] = field(default_factory=list)
    sent_bytes: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def rotate(self, kid: str) -> None:
        self.keys = [self.keys[0] | {"kid": kid}]


class Handler(BaseHTTPRequestHandler):
    """GET answers the key set, or misbehaves as the mode says."""

    issuer: Issuer

    @override
    def log_message(self, *_: Any) -> None:
        return None

    @override
    def do_GET(self) -> None:
        self.issuer.fetches.append(self.path)
        try:
            (self.issuer.mode or good)(self)
        except OSError:  # the client has had enough
            self.close_connection = True

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def good(handler: Handler) -> None:
    handler.answer(json.dumps({"keys": handler.issuer.keys}).encode())


def padded(size: int) -> Mode:
    """The key set in that many bytes."""

    def mode(handler: Handler) -> None:
        text = json.dumps({"keys": handler.issuer.keys})
        handler.answer((text + " " * (size - len(text))).encode())

    return mode


def refusing(status: int) -> Mode:
    """The good key set, under a status that says not to take it."""
    return lambda handler: handler.answer(json.dumps({"keys": handler.issuer.keys}).encode(), status)


def redirect(handler: Handler) -> None:
    """To a place where the good key set is; and here it is, too."""
    if handler.path == "/moved":
        return good(handler)
    body = json.dumps({"keys": handler.issuer.keys}).encode()
    return handler.answer(body, 302, Location=f"{handler.issuer.url}/moved")


def publishing(*changes: dict[str, Any]) -> Mode:
    """The good key and these variants of it."""
    return lambda handler: handler.answer(
        json.dumps({"keys": handler.issuer.keys + [handler.issuer.keys[0] | change for change in changes]}).encode()
    )


def drip(start: bytes, piece: bytes) -> Mode:
    """After ``start``, one piece every tenth of a second until the test is over."""

    def mode(handler: Handler) -> None:
        handler.wfile.write(start)
        while not handler.issuer.over.wait(0.1):
            handler.wfile.write(piece)

    return mode


def flood(handler: Handler) -> None:
    """A body without end, as fast as it is taken."""
    handler.wfile.write(OK + b"\r\n")
    while not handler.issuer.over.is_set():
        handler.issuer.sent_bytes += handler.wfile.write(b" " * 65_536)


def silence(handler: Handler) -> None:
    handler.issuer.over.wait()


def stall_late(handler: Handler) -> None:
    """The answer begins just before the time is up, and never ends."""
    handler.issuer.over.wait(QUESTION_SECONDS - 0.3)
    handler.wfile.write(OK + b"Content-Length: 100\r\n\r\n{")
    handler.issuer.over.wait()


OK = b"HTTP/1.1 200 OK\r\n"
SLOW: dict[str, Mode] = {
    "silence": silence,
    "the body drips": drip(OK + b"Content-Length: 9999\r\n\r\n", b" "),
    "the chunks drip": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a chunk's length drips": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "the headers drip": drip(OK, b"X-Slow: 1\r\n"),
    "one header drips": drip(OK + b"X-Slow: ", b"x"),
    "the status line drips": drip(b"HTTP/1.1 200 ", b"O"),
    "a late start and no end": stall_late,
}
BROKEN: dict[str, Mode] = {
    **{str(status): refusing(status) for status in (400, 403, 404, 429, 500, 503)},
    "a redirect": redirect,
    "150,001 bytes": padded(MAX_JWKS_BYTES + 1),
    "a hundred megabytes": lambda handler: handler.answer(b" " * 100_000_000),
    "not JSON": lambda handler: handler.answer(b"<html></html>"),
    "nothing": lambda handler: handler.answer(b""),
    "an empty set": lambda handler: handler.answer(b'{"keys": []}'),
    "a duplicate kid": publishing({}),
    "an oct key inside": publishing({"kty": "oct", "kid": "s", "k": "c2VjcmV0"}),
    "a key for encryption inside": publishing({"kid": "e", "use": "enc"}),
    "a key that may not verify inside": publishing({"kid": "w", "key_ops": ["encrypt"]}),
    "a private key inside": publishing({"kid": "p", "d": "AQAB"}),
    "a short key inside": publishing(public_jwk(rsa.generate_private_key(65537, 1024), "short")),
    "half a body": lambda handler: handler.wfile.write(OK + b'Content-Length: 999\r\n\r\n{"keys": ['),
    "no HTTP": lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "a hung up line": lambda handler: handler.connection.shutdown(socket.SHUT_RDWR),
}


@contextmanager
def serving(issuer: Issuer, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The issuer's address while it is up."""
    handler = type("BoundHandler", (Handler,), {"issuer": issuer})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        finally:
            issuer.over.set()
            server.shutdown()
            thread.join()
