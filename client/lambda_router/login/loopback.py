"""The redirect's receiver: a listener on this machine that takes one answer of the login page (RFC 8252)."""

import base64
import hashlib
import secrets
import socket
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from lambda_router.errors import LoginRefused

#: The issuer compares redirect addresses exactly, so these five are registered with it.
PORTS = (28711, 28712, 28713, 28714, 28715)
PATH = "/callback"
_STYLE = ":root{color-scheme:light dark}body{font:16px system-ui;margin:4em auto;max-width:30em;padding:0 1em}"
_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=width=device-width>"
    f"<title>Lambda Router</title><style>{_STYLE}</style><h1>%s</h1><p>%s</p></html>"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'"


def redirect_uri(port: int) -> str:
    """Return the redirect address of a port, as it is registered."""
    return f"http://127.0.0.1:{port}{PATH}"


class Listener:
    """A listener on the first free of the five ports.

    Only an answer with the state of this login counts, and only the first one. Any other is refused, and the wait goes
    on: another page of this machine must not be able to end a login.
    """

    def __init__(self, state: str) -> None:
        self._state = state
        self._answer: dict[str, str] | None = None
        self._taking = threading.Lock()
        self._answered = threading.Event()
        self._server = _bound(self)
        self.redirect_uri = redirect_uri(self._server.server_port)

    def __enter__(self) -> "Listener":
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self, seconds: float) -> dict[str, str] | None:
        """Return the members of the answer's query; None if none came in that time."""
        return self._answer if self._answered.wait(seconds) else None

    def take(self, query: str) -> tuple[int, str, str]:
        """Judge one request's query; return the page for it: status, title, text."""
        members = single_members(query)
        if not secrets.compare_digest(members.get("state", "").encode(), self._state.encode()):
            return 400, "This answer belongs to no login", "It was ignored. Go back to the login page."
        with self._taking:
            if self._answer is not None:
                return 400, "This login is done", "An answer counts once. You can close this window."
            self._answer = members
        if "code" not in members:
            return 200, "The login was refused", "The reason is in the terminal. You can close this window."
        return 200, "Back to the terminal", "The rest happens there. You can close this window."

    def answered(self) -> None:
        """Let ``wait`` return, once the browser has its page."""
        if self._answer is not None:
            self._answered.set()


def single_members(query: str) -> dict[str, str]:
    """Return the members of a query, without those that stand in it more than once."""
    try:
        found = parse_qs(query, keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _bound(listener: Listener) -> ThreadingHTTPServer:
    for port in PORTS:
        with suppress(OSError):
            server = _Server(("127.0.0.1", port), _Handler)
            server.listener = listener
            return server
    raise LoginRefused(
        f"the ports {PORTS[0]} to {PORTS[-1]} of this machine are all taken:"
        " end another login, or use lambda-router login --no-browser"
    )


class _Server(ThreadingHTTPServer):
    # On Windows SO_REUSEADDR would let a second program listen at the same port.
    allow_reuse_address = sys.platform != "win32"
    daemon_threads = True
    listener: Listener

    def server_bind(self) -> None:
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        if exclusive is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, exclusive, 1)
        super().server_bind()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a traceback would show the code, and a browser may hang up whenever it likes."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10  # a browser opens connections in advance, and may never use them

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        status, title, text = 404, "Nothing is here", "Look in the terminal."
        if parts.path == PATH:
            status, title, text = self.server.listener.take(parts.query)
        try:
            self._send(status, (_PAGE % (title, text)).encode())
        finally:
            self.server.listener.answered()

    def _send(self, status: int, page: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(page)

    def version_string(self) -> str:
        return "lambda-router"

    def log_message(self, *_: object) -> None:
        """Log nothing: the path has the code."""
