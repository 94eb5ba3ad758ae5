"""A model server that does what the prompt says: it speaks OpenAI's chat completions and misbehaves on request.

The prompt's first word decides; the rest only tells prompts apart:

    echo          answers at once
    slow N        answers after N seconds
    stumble       status 500 at first, then an answer
    broken        status 500 whenever it is asked
    refuse        status 400
    busy N        status 429 with Retry-After: N at first, then an answer
    hang          answers once the test says so (``ScriptedModel.release``)
    drop          closes the connection at first, then an answer
    nonsense      status 200, and a body that is no chat completion
    call          a call of the function ``weather`` in place of a text
    tell          if asked to stream, sends the text up to the last word, and that once the test says so; else like hang

An answer's text is the prompt and, behind ``#``, which time it was asked: ``echo hello #1``.
"""

import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bonn"}'}}

#: No test waits longer; what hangs is let go by then.
LONGEST_HANG_SECONDS = 60


class ScriptedModel:
    """What the server was asked, and when.

    Attributes:
        traceparents: that header of the newest request, by prompt.
        bodies: the newest request itself, by prompt.
    """

    def __init__(self) -> None:
        self.base_url = ""
        self._asked: dict[str, list[float]] = defaultdict(list)
        self._order: list[str] = []
        self.traceparents: dict[str, str | None] = {}
        self.bodies: dict[str, dict[str, Any]] = {}
        self._released: dict[str, threading.Event] = defaultdict(threading.Event)
        self._lock = threading.Lock()

    def times(self, prompt: str) -> list[float]:
        """When the prompt arrived, each time, by ``time.monotonic``."""
        return list(self._asked.get(prompt, ()))

    def order(self, prompts: list[str]) -> list[str]:
        """Those of the prompts that arrived, in the order in which they did."""
        return [prompt for prompt in self._order if prompt in prompts]

    def release(self, prompt: str) -> None:
        """Let everybody have an answer who asked for that prompt, and who will."""
        self._released[prompt].set()

    def note(self, prompt: str) -> int:
        """Write down that the prompt arrived; how often it has."""
        with self._lock:
            self._order.append(prompt)
            self._asked[prompt].append(time.monotonic())
            return len(self._asked[prompt])

    def wait_for_release(self, prompt: str) -> None:
        self._released[prompt].wait(LONGEST_HANG_SECONDS)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, model: ScriptedModel) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A worker that was killed leaves a broken connection behind: nothing to tell."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt: str = body["messages"][-1]["content"]
        count = self.server.model.note(prompt)
        self.server.model.traceparents[prompt] = self.headers["traceparent"]
        self.server.model.bodies[prompt] = body
        kind, *words = prompt.split()
        match kind:
            case "stumble" | "broken" if count == 1 or kind == "broken":
                self._answer(500, {"error": "stumbled"})
            case "refuse":
                self._answer(400, {"error": "refused"})
            case "busy" if count == 1:
                self._answer(429, {"error": "busy"}, {"Retry-After": words[0]})
            case "drop" if count == 1:
                self.close_connection = True
            case "call":
                self._answer(200, _completion(None, tool_calls=[CALL]))
            case "tell" if body.get("stream"):
                self._tell(f"{prompt} #{count}", prompt)
            case "nonsense":
                self._answer(200, {"choices": "none today"})
            case _:
                self._take_time(kind, words, prompt)
                self._answer(200, _completion(f"{prompt} #{count}"))

    def _take_time(self, kind: str, words: list[str], prompt: str) -> None:
        if kind == "slow":
            time.sleep(float(words[0]))
        elif kind in ("hang", "tell"):
            self.server.model.wait_for_release(prompt)

    def _tell(self, text: str, prompt: str) -> None:
        """Send a text as server-sent events, a word at a time."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        *words, last = re.findall(r"\S+\s*", text)
        for word in words:
            self._event({"content": word})
        self.server.model.wait_for_release(prompt)
        self._event({"content": last})
        self._event({}, "stop")
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, delta: dict[str, str], finish_reason: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "conformance", "choices": [choice]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

    def _answer(self, status: int, document: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _completion(text: str | None, **members: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text} | members
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if members else "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "conformance",
        "choices": [choice],
        "usage": usage,
    }


@contextmanager
def serving() -> Iterator[ScriptedModel]:
    """A running model server."""
    model = ScriptedModel()
    with _Server(model) as server:
        model.base_url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield model
        server.shutdown()
        thread.join()
