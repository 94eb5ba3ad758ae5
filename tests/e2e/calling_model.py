"""A model server that calls the first tool that it is given, and answers everything else in capitals."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "tiny"
_SAMPLES: dict[str, Any] = {"string": "Köln", "number": 1, "integer": 1, "boolean": True, "array": [], "object": {}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        last = asked["messages"][-1]
        if asked.get("tools") and last["role"] != "tool":
            message, reason = (
                {"role": "assistant", "content": None, "tool_calls": [_call(asked["tools"][0])]},
                "tool_calls",
            )
        else:
            message, reason = {"role": "assistant", "content": _text(last["content"]).upper()}, "stop"
        choice = {"index": 0, "message": message, "finish_reason": reason}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        self._answer({"object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage})

    def _answer(self, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _text(content: Any) -> str:
    parts = content if isinstance(content, list) else [{"text": content}]
    return " ".join(part.get("text", "an image") for part in parts)


def _call(tool: Any) -> dict[str, Any]:
    function = tool["function"]
    wanted = (function.get("parameters") or {}).get("properties", {})
    arguments = {name: _SAMPLES.get(kind.get("type"), "x") for name, kind in wanted.items()}
    return {
        "id": "call_1",
        "type": "function",
        "function": {"name": function["name"], "arguments": json.dumps(arguments)},
    }


@contextmanager
def calling_model() -> Iterator[str]:
    """Its base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
