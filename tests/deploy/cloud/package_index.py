"""A package index that trusts a workflow: it exchanges the job's identity for a token, and takes files with it.

As the Python package index documents it ("Trusted publishers", "Internals and technical details").
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.servers import free_port

_IDENTITY, _REQUEST, _TOKEN = "identity of the job", "may-ask", "token-for-minutes"


class _Index(ThreadingHTTPServer):
    """The server, and the folder for what is uploaded."""

    folder: Path


class _Handler(BaseHTTPRequestHandler):
    server: _Index

    def do_GET(self) -> None:
        if self.path.startswith("/identity"):  # GitHub's own part
            assert self.headers["Authorization"].lower() == f"bearer {_REQUEST}"
            self._answer({"value": _IDENTITY})
        else:
            self._answer({"audience": "index"})

    def do_POST(self) -> None:
        body = self._body()
        if self.path.endswith("mint-token"):
            assert json.loads(body) == {"token": _IDENTITY}
            self._answer({"success": True, "token": _TOKEN})
            return
        if self.path != "/legacy/":  # the token is given back
            self._answer({})
            return
        login = base64.b64decode(self.headers["Authorization"].split()[1]).decode()
        assert login == f"__token__:{_TOKEN}"
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        for part in BytesParser().parsebytes(head + body).walk():
            _keep(part, self.server.folder)
        self._answer({})

    def _body(self) -> bytes:
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):  # RFC 9112, section 7.1
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, about: dict[str, Any]) -> None:
        text = json.dumps(about).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


def _keep(part: Message, folder: Path) -> None:
    content = part.get_payload(decode=True)
    if (name := part.get_filename()) and isinstance(content, bytes):
        (folder / name).write_bytes(content)


@contextmanager
def package_index(folder: Path) -> Iterator[str]:
    """The URL of the index; what is uploaded lands in the folder."""
    folder.mkdir(parents=True)
    with _Index(("127.0.0.1", free_port()), _Handler) as server:
        server.folder = folder
        Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def publisher(url: str, host: str) -> dict[str, str]:
    """Variables of a job that may publish to the index of that name."""
    return {
        "UV_PUBLISH_URL": f"https://{host}/legacy/",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{url}/identity?",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": _REQUEST,
    }
