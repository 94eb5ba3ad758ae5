"""A router and its user pool in one server of the test's process: it counts, and lies where a test wants that."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa

from tools.local.pool.clients import SCOPE, Directory
from tools.local.pool.endpoints import Pool
from tools.local.pool.messages import Reply, Request, json_reply
from tools.local.pool.sessions import Sessions
from tools.local.pool.tokens import Minter, SigningKey

RESOURCE = "/.well-known/oauth-protected-resource"
KEY = SigningKey(rsa.generate_private_key(public_exponent=65537, key_size=2048))

Lie = Callable[[Request, Reply], Reply]


@dataclass
class PlayedRouter:
    """The server's state.

    Attributes:
        counted: requests by path, those of the token endpoint by grant.
        refused: how many calls came with a token that is over.
        lies: what happens to the reply of a path before it is sent.
        document: members of the resource's document that replace its own; None leaves one out.
    """

    url: str
    directory: Directory
    pool: Pool
    counted: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    lies: dict[str, Lie] = field(default_factory=dict)
    document: dict[str, object] = field(default_factory=dict)

    def answer(self, request: Request) -> Reply:
        grant = parse_qs(request.body).get("grant_type", [""])[0]
        self.counted[grant or request.path] += 1
        reply = self._own(request) or self.pool.answer(request)
        lie = self.lies.get(request.path)
        return lie(request, reply) if lie else reply

    def _own(self, request: Request) -> Reply | None:
        if request.path == RESOURCE:
            own = {
                "resource": self.url,
                "authorization_servers": [self.pool.issuer],
                "scopes_supported": [SCOPE],
                "bearer_methods_supported": ["header"],
                "lambda_router_client_id": self.directory.login.id,
            }
            return json_reply({name: value for name, value in (own | self.document).items() if value is not None})
        if request.path.startswith("/v1/"):
            return self._called(request)
        return None

    def _called(self, request: Request) -> Reply:
        if KEY.claims(request.headers.get("authorization", "").removeprefix("Bearer ")) is None:
            self.refused += 1
            return json_reply({"error": {"message": "The token is over."}}, 401)
        if request.method == "POST" and json.loads(request.body).get("stream"):
            return Reply(200, {"Content-Type": "text/event-stream"}, _events())
        return json_reply({"object": "list", "data": []})


def _events() -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    first = chunk | {"choices": [{"index": 0, "delta": {"content": "HELLO"}, "finish_reason": None}]}
    last = chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return "".join(f"data: {each}\n\n" for each in (json.dumps(first), json.dumps(last), "[DONE]")).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    router: PlayedRouter

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0))).decode()
        reply = self.router.answer(Request(self.command, target.path, target.query, headers, body))
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: tests kill their clients."""


@contextmanager
def playing(*, token_seconds: int = 3_600, grace_seconds: float = 30.0) -> Iterator[PlayedRouter]:
    """A router that answers meanwhile, with a pool of its own."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    url = f"http://127.0.0.1:{server.server_port}"
    directory = Directory.of(url)
    minter = Minter(KEY, directory, f"{url}/{directory.pool_id}", seconds=token_seconds)
    pool = Pool(url, directory, Sessions(grace_seconds=grace_seconds), minter, KEY)
    router = PlayedRouter(url, directory, pool)
    handler.router = router  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield router
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def signed_in(address: str, user: str = "demo") -> str:
    """What a person does in the browser: the address to which the login page sends it afterwards."""
    page = address.replace("/oauth2/authorize?", "/login?")
    return httpx.post(page, data={"username": user}, trust_env=False).headers["location"]


def in_background(address: str, user: str = "demo") -> bool:
    """A browser that opens at once and loads the page on its own time, as ``webbrowser.open`` does."""
    threading.Thread(target=lambda: visit(signed_in(address, user)), daemon=True).start()
    return True


def visit(address: str) -> httpx.Response:
    """Load a page of this machine."""
    return httpx.get(address, trust_env=False, timeout=10)


def eventually(check: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)
