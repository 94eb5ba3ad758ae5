"""A router that answers as a test says: it breaks off, lies, hangs. It keeps what it was asked."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.model_servers import Call, ModelServer, event, model_server

DIGITS = "0123456789abcdef" * 2
RESPONSE, JOB = f"resp_{DIGITS}", f"job_{DIGITS}"
NOT_STREAMED = {"error": {"message": "Not here.", "type": "x", "param": "stream", "code": "unsupported_parameter"}}

Act = Callable[[Call], None]


class LyingRouter:
    """Acts by ``"METHOD path"``. The last act of a list stays; what has none gets a sane answer."""

    def __init__(self) -> None:
        self.url = ""
        self.server: ModelServer | None = None
        self.arrived = threading.Event()
        self._acts: dict[str, list[Act]] = {}
        self._lock = threading.Lock()

    def on(self, route: str, *acts: Act) -> None:
        self._acts[route] = list(acts)

    def asked(self, route: str) -> list[Call]:
        """The calls of a route, in their order."""
        assert self.server is not None
        return [call for call in self.server.seen if _route(call) == route]

    def act(self, call: Call) -> None:
        with self._lock:
            acts = self._acts.get(_route(call), [])
            act = acts.pop(0) if len(acts) > 1 else acts[0] if acts else _sane(call)
        act(call)


def _route(call: Call) -> str:
    return f"{call.method} {call.path.partition('?')[0]}"


CREATE = "POST /v1/responses"
STREAM = f"GET /v1/responses/{RESPONSE}"
EVENTS = f"GET /v1/jobs/{JOB}/events"
LOOK = f"GET /v1/jobs/{JOB}"
CANCEL = f"DELETE /v1/jobs/{JOB}"
MODELS = "GET /v1/models"


def _sane(call: Call) -> Act:
    route = _route(call)
    return {
        MODELS: says({"object": "list", "data": [{"id": "tiny"}]}),
        CREATE: says(response("queued")),
        STREAM: streams(*answer("HELLO")),
        LOOK: says({"id": JOB, "status": "queued", "position": 3, "estimated_start_at": None}),
        CANCEL: says({"id": JOB, "status": "cancelled"}),
    }.get(route, says({"title": "Not found", "detail": "There is no such thing."}, 404))


def says(document: Any, status: int = 200, **headers: str) -> Act:
    return lambda call: call.answer(status, document, **headers)


def drops(call: Call) -> None:
    call.drop()


def hangs(call: Call) -> None:
    call.wait_for_hangup()


def streams(*events: Any, done: bool = True, broken: bool = False, splits: Sequence[int] = ()) -> Act:
    """A stream of events, which may be cut into pieces at these bytes, and may break off."""

    def act(call: Call) -> None:
        raw = b"".join(map(event, [*events, *(["[DONE]"] if done and not broken else [])]))
        call.begin_stream()
        for begin, end in itertools.pairwise([0, *splits, len(raw)]):
            call.piece(raw[begin:end])
        if broken:
            call.drop()
        else:
            call.end_stream()

    return act


def response(status: str, text: str = "", **members: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text}]
    output = [{"type": "message", "content": content}] if status == "completed" else []
    return {"id": RESPONSE, "object": "response", "status": status, "output": output, "error": None} | members


def delta(number: int, text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "sequence_number": number, "delta": text}


def began() -> list[dict[str, Any]]:
    kinds = ("created", "queued", "in_progress")
    return [{"type": f"response.{kind}", "sequence_number": number} for number, kind in enumerate(kinds)]


def ended(number: int, status: str, text: str = "", **members: Any) -> dict[str, Any]:
    kind = "completed" if status == "completed" else "failed"
    return {"type": f"response.{kind}", "sequence_number": number, "response": response(status, text, **members)}


def answer(*words: str) -> list[dict[str, Any]]:
    """All events of an answer whose deltas are these."""
    deltas = [delta(number, word) for number, word in enumerate(words, 3)]
    return [*began(), *deltas, ended(3 + len(words), "completed", "".join(words))]


def error(number: int, code: str) -> dict[str, Any]:
    facts = {"code": code, "message": f"It is {code}.", "param": None}
    return {"type": "error", "sequence_number": number, **facts, "error": facts}


def events(*events: dict[str, Any], has_more: bool = True) -> dict[str, Any]:
    """A page of a job's live output."""
    return {"object": "list", "data": list(events), "has_more": has_more}


def final_job(status: str, text: str | None = None, **members: Any) -> dict[str, Any]:
    result = None if text is None else {"text": text, "finish_reason": "stop"}
    return {"id": "end", "type": "job", "job": {"id": JOB, "status": status, "result": result} | members}


def holds(call: Call) -> None:
    """Send one word, and nothing more until the caller leaves."""
    call.begin_stream()
    for each in [*began(), delta(3, "A")]:
        call.piece(f"data: {json.dumps(each)}\n\n".encode())
    call.wait_for_hangup()


@contextmanager
def lying_router() -> Iterator[LyingRouter]:
    router = LyingRouter()
    with model_server(router.act) as server:
        router.server = server
        router.url = f"http://127.0.0.1:{server.port}"
        yield router


def body_of(call: Call) -> Any:
    return json.loads(call.body)
