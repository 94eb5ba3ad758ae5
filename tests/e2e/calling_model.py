"""A model server that streams the last message in capitals, word by word, and calls the first tool that it is given.

The prompt decides what else happens. After ``held``, each word waits until the test lets it go. ``busy`` breaks the
first attempt off after its first word. Each word of a second attempt at either ends in an apostrophe. ``rejected`` is
422. ``think`` streams reasoning before the words. ``paced`` takes 10 ms for each word.
"""

import json
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.model_servers import USAGE_CHUNK, Call, ModelServer, chunk, event

MODEL = "tiny"
REASONING = "Capitals are asked for."
_LONGEST_SECONDS = 100.0
_SAMPLES: dict[str, Any] = {"string": "Köln", "number": 1, "integer": 1, "boolean": True, "array": [], "object": {}}


class CallingModel(ModelServer):
    """Attributes: ``hung_up`` are the prompts whose reader left before the end."""

    def __init__(self, port: int = 0) -> None:
        self.hung_up: list[str] = []
        self._attempts: Counter[str] = Counter()
        self._let_go: Counter[str] = Counter()
        self._changed = threading.Condition()
        super().__init__(self._answer, port)

    def let_go(self, prompt: str, words: int = 1_000) -> None:
        """So many more words of a held prompt may be sent, in every attempt."""
        with self._changed:
            self._let_go[prompt] += words
            self._changed.notify_all()

    def attempts(self, prompt: str) -> int:
        """How often the prompt was sent here."""
        return self._attempts[prompt]

    def _answer(self, call: Call) -> None:
        if call.method == "GET":
            call.answer(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
            return
        asked, last = call.json, call.json["messages"][-1]
        if asked.get("tools") and last["role"] != "tool":
            call.stream([*_call(asked["tools"][0]), chunk(finish_reason="tool_calls"), USAGE_CHUNK])
            return
        prompt = _text(last["content"])
        with self._changed:
            self._attempts[prompt] += 1
        if prompt.startswith("rejected"):
            call.answer(422, {"error": {"message": "The prompt is rejected."}})
        else:
            self._speak(call, prompt, asked.get("max_tokens") or 1_000)

    def _speak(self, call: Call, prompt: str, longest: int) -> None:
        kind = prompt.partition(" ")[0]
        attempt = self._attempts[prompt] if kind in {"held", "busy", "paced"} else 1
        words = words_of(prompt, attempt)
        call.begin_stream()
        if kind == "think":
            for piece in (REASONING[:9], REASONING[9:]):
                call.piece(event(chunk(reasoning_content=piece)))
        for number, word in enumerate(words[:longest]):
            if kind == "held" and not self._may_send(call, prompt, number):
                self.hung_up.append(prompt)
                return
            if kind == "paced":
                time.sleep(0.01)
            call.piece(event(chunk(f" {word}" if number else word)))
            if kind == "busy" and attempt == 1:
                call.piece(event({"error": {"message": "busy", "code": 429}}))
                call.drop()
                return
        reason = "stop" if len(words) <= longest else "length"
        for document in (chunk(finish_reason=reason), USAGE_CHUNK, "[DONE]"):
            call.piece(event(document))
        call.end_stream()

    def _may_send(self, call: Call, prompt: str, number: int) -> bool:
        """Wait until the word may be sent. False if the reader has left."""
        for _ in range(round(_LONGEST_SECONDS / 0.02)):
            with self._changed:
                if self._changed.wait_for(lambda: self._let_go[prompt] > number, 0.02):
                    return True
            if _has_left(call.socket):
                break
        call.drop()
        return False


def words_of(prompt: str, attempt: int = 1) -> list[str]:
    """The words that the model makes of a prompt."""
    return [word + "'" * (attempt - 1) for word in prompt.upper().split()]


def text_of(prompt: str, attempt: int = 1) -> str:
    """What the model answers."""
    return " ".join(words_of(prompt, attempt))


def _has_left(connection: socket.socket) -> bool:
    readable, _, _ = select.select([connection], [], [], 0)
    try:
        return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
    except OSError:
        return True


def _text(content: Any) -> str:
    parts = content if isinstance(content, list) else [{"text": content}]
    return " ".join(part.get("text", "an image") for part in parts)


def _call(tool: Any) -> list[dict[str, Any]]:
    """A call of that tool, its arguments in two pieces."""
    function = tool["function"]
    wanted = (function.get("parameters") or {}).get("properties", {})
    arguments = json.dumps({name: _SAMPLES.get(kind.get("type"), "x") for name, kind in wanted.items()})
    named = {"index": 0, "id": "call_1", "type": "function", "function": {"name": function["name"], "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": piece}} for piece in (arguments[:4], arguments[4:])]
    return [chunk(tool_calls=[piece]) for piece in (named, *pieces)]


@contextmanager
def calling_model() -> Iterator[CallingModel]:
    """A running one."""
    with CallingModel() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
