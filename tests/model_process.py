"""A model server as a program, which can be killed and started again at its port.

``python -m tests.model_process PORT [MODEL] [KEY]`` streams chat completions below ``/v1``. The first word
of a prompt decides: ``die`` ends the process before a byte is answered, ``slow N`` takes N seconds, ``held FILE`` waits
until there is such a file, anything else is echoed at once. A model that is not MODEL is 404, a key that is not KEY is
401. Elsewhere than below ``/v1`` is a web page, as some servers have one.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.patience import eventually
from tests.servers import free_port


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model = "m"
    key = ""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            self._answer(200, "text/html", b"<html>A chat for people</html>")
        elif self._may_ask():
            self._json(200, {"object": "list", "data": [{"id": self.model, "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            self._answer(404, "text/html", b"<html>Not found</html>")
        elif not self._may_ask():
            return
        elif body["model"] != self.model:
            self._json(404, {"error": {"message": f"The model {body['model']!r} does not exist.", "code": 404}})
        else:
            self._complete(body["messages"][-1]["content"], stream=body.get("stream", False))

    def _may_ask(self) -> bool:
        if not self.key or self.headers["Authorization"] == f"Bearer {self.key}":
            return True
        self._json(401, {"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}})
        return False

    def _complete(self, prompt: str, *, stream: bool) -> None:
        kind, *words = prompt.split()
        if kind == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "slow":
            time.sleep(float(words[0]))
        if kind == "held":
            eventually(Path(words[0]).exists, 120)
        if not stream:
            self._json(200, self._part(message={"role": "assistant", "content": prompt}, finish_reason="stop"))
            return
        parts = [self._part(delta={"content": prompt}), self._part(delta={}, finish_reason="stop")]
        events = [*map(json.dumps, parts), "[DONE]"]
        self._answer(200, "text/event-stream", "".join(f"data: {event}\n\n" for event in events).encode())

    def _part(self, **choice: Any) -> dict[str, Any]:
        return {"model": self.model, "choices": [{"index": 0, **choice}]}

    def _json(self, status: int, document: dict[str, Any]) -> None:
        self._answer(status, "application/json", json.dumps(document).encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A worker that hung up: nothing to tell."""


class ModelProcess:
    """The program and its port."""

    def __init__(self, model: str = "m", key: str = "") -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self._words = (model, key)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Begin it and wait until it listens."""
        self.begin()
        assert eventually(self._listens, 20)

    def begin(self) -> None:
        """Without waiting: the next job may end it before anybody has seen it listen."""
        command = [sys.executable, "-m", "tests.model_process", str(self.port), *self._words]
        self._process = subprocess.Popen(command, cwd=Path(__file__).parents[1])

    def kill(self) -> None:
        """End it at once, with what it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _listens(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=2) as answer:
            return bool(answer.status == 200)
        return False


@contextmanager
def model_process(model: str = "m", key: str = "") -> Iterator[ModelProcess]:
    """One that runs, and is gone afterwards."""
    server = ModelProcess(model, key)
    server.start()
    try:
        yield server
    finally:
        server.kill()


if __name__ == "__main__":
    port, *words = sys.argv[1:]
    _Handler.model, _Handler.key = [*words, "", ""][:2]
    _Server(("127.0.0.1", int(port)), _Handler).serve_forever()
