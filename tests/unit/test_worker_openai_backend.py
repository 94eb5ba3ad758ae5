"""worker.openai_backend: a job as a chat completion, an answer as a result, a failure as words for the caller."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from chalicelib.models import Envelope
from worker.openai_backend import OpenAIBackend
from worker.outcomes import JobFailed, TryAgain, Unsuccessful

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "tinyllama-1.1b",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Grüße!"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}

type Answer = Callable[[httpx.Request], httpx.Response]


def job_of(kind: str = "generate", **given: Any) -> Envelope:
    return Envelope(
        v=1,
        id="job_" + "0" * 32,
        type=kind,
        queue="tinyllama",
        input=given,
        owner="owner",
        priority="normal",
        created_at=1,
        deadline_at=2,
        metadata={"private": "to the caller"},
        request_id="request",
        traceparent=TRACE,
    )


def ask(job: Envelope, answer: Answer, base_url: str = "http://gpu.internal:8080/v1") -> Any:
    """What the backend makes of the job when the server answers so."""

    async def call() -> Any:
        async with OpenAIBackend(base_url, "tinyllama", httpx.MockTransport(answer)) as backend:
            return await backend(job)

    return asyncio.run(call())


def sent_for(job: Envelope, base_url: str = "http://gpu.internal:8080/v1") -> httpx.Request:
    """The request that the server sees."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=COMPLETION)

    ask(job, answer, base_url)
    [request] = seen
    return request


def failure(answer: Answer) -> Unsuccessful:
    """How the job fails when the server answers so."""
    with pytest.raises(Unsuccessful) as raised:
        ask(job_of(prompt="secret prompt"), answer)
    return raised.value


# Requests

MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}]
SAMPLING = {"max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "stop": ["\n"], "seed": 3}

REQUESTS: dict[str, tuple[Envelope, dict[str, Any]]] = {
    "prompt": (
        job_of(prompt="hello", max_tokens=256),
        {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 256},
    ),
    "prompt with system": (
        job_of(prompt="hello", system="Be brief."),
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]},
    ),
    "chat": (job_of("chat", messages=MESSAGES), {"messages": MESSAGES}),
    "all sampling": (
        job_of(prompt="x", **SAMPLING),
        {"messages": [{"role": "user", "content": "x"}]} | SAMPLING,
    ),
    "chat with sampling": (job_of("chat", messages=MESSAGES, **SAMPLING), {"messages": MESSAGES} | SAMPLING),
    "zeros": (
        job_of(prompt="x", temperature=0.0, seed=0),
        {"messages": [{"role": "user", "content": "x"}], "temperature": 0.0, "seed": 0},
    ),
    "unknown members stay home": (
        job_of(prompt="x", best_of=4, user="alice", stream=True, model="other"),
        {"messages": [{"role": "user", "content": "x"}]},
    ),
}


@pytest.mark.parametrize(("job", "body"), REQUESTS.values(), ids=REQUESTS.keys())
def test_a_job_becomes_a_chat_completion_request(job: Envelope, body: dict[str, Any]):
    request = sent_for(job)
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content) == {"model": "tinyllama", "stream": False} | body


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://gpu:8080/v1", "http://gpu:8080/v1/chat/completions"),
        ("http://gpu:8080/v1/", "http://gpu:8080/v1/chat/completions"),
        ("https://gpu/some/path/v1//", "https://gpu/some/path/v1/chat/completions"),
        ("http://gpu", "http://gpu/chat/completions"),
    ],
    ids=["usual", "slash", "path", "bare host"],
)
def test_the_address_is_below_the_base_url(base_url: str, url: str):
    assert str(sent_for(job_of(prompt="x"), base_url).url) == url


def test_the_trace_goes_on_to_the_server():
    assert sent_for(job_of(prompt="x")).headers["traceparent"] == TRACE


def test_nothing_about_the_caller_goes_to_the_server():
    request = sent_for(job_of(prompt="x"))
    text = request.content.decode() + str(request.headers)
    for private in ("owner", "private", "to the caller", "job_0", "authorization"):
        assert private not in text.lower()


# Answers


def test_a_completion_becomes_the_result():
    assert ask(job_of(prompt="x"), lambda _: httpx.Response(200, json=COMPLETION)) == {
        "text": "Grüße!",
        "finish_reason": "stop",
        "model": "tinyllama-1.1b",
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def test_what_a_server_leaves_out_is_null():
    sparse = {"choices": [{"message": {"content": "hi"}}]}
    assert ask(job_of(prompt="x"), lambda _: httpx.Response(200, json=sparse)) == {
        "text": "hi",
        "finish_reason": None,
        "model": None,
        "usage": None,
    }


def test_the_first_of_several_choices_counts():
    choices = [{"message": {"content": text}} for text in ("first", "second")]
    assert ask(job_of(prompt="x"), lambda _: httpx.Response(201, json={"choices": choices}))["text"] == "first"


# Failures


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 301, 302, 307])
def test_what_the_server_refuses_fails_the_job_for_good(status: int):
    headers = {"Location": "http://elsewhere/"}
    failed = failure(lambda _: httpx.Response(status, json={"error": {"message": "house secret"}}, headers=headers))
    assert isinstance(failed, JobFailed)
    assert (failed.code, failed.message) == (
        "backend_refused",
        f"The model server refused the job with status {status}.",
    )


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 599])
def test_a_server_that_is_busy_or_broken_is_tried_again(status: int):
    failed = failure(lambda _: httpx.Response(status, text="house secret"))
    assert isinstance(failed, TryAgain)
    assert (failed.code, failed.message) == ("backend_busy", f"The model server answered with status {status}.")
    assert failed.after_seconds == 0


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("{in_a_minute}", 50, 60),
        ("{a_minute_ago}", 0, 0),
        ("soon", 0, 0),
        ("-5", 0, 0),
        ("", 0, 0),
    ],
    ids=["seconds", "zero", "a date", "a date that is past", "a word", "negative", "empty"],
)
def test_a_servers_retry_after_is_kept(value: str, least: float, most: float):
    now, minute = datetime.now(UTC), timedelta(seconds=60)
    dates = {"in_a_minute": now + minute, "a_minute_ago": now - minute}
    header = value.format(**{name: format_datetime(date, usegmt=True) for name, date in dates.items()})
    failed = failure(lambda _: httpx.Response(503, headers={"Retry-After": header}))
    assert isinstance(failed, TryAgain)
    assert least <= failed.after_seconds <= most


TRANSPORT_ERRORS = [
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ReadTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.PoolTimeout,
    httpx.RemoteProtocolError,
]


@pytest.mark.parametrize("kind", TRANSPORT_ERRORS, ids=lambda kind: kind.__name__)
def test_a_server_that_cannot_be_reached_is_tried_again_without_naming_its_address(kind: type[httpx.TransportError]):
    def answer(request: httpx.Request) -> httpx.Response:
        raise kind(f"cannot reach {request.url}")

    failed = failure(answer)
    assert (failed.code, failed.message) == ("backend_unreachable", "The model server could not be reached.")


NONSENSE: dict[str, httpx.Response] = {
    "no body": httpx.Response(200),
    "204": httpx.Response(204),
    "text": httpx.Response(200, text="It works!"),
    "page": httpx.Response(200, html="<html>"),
    "not UTF-8": httpx.Response(200, content=b'{"choices":"\xff\xfe"}'),
    "null": httpx.Response(200, json=None),
    "number": httpx.Response(200, json=5),
    "list": httpx.Response(200, json=[]),
    "string": httpx.Response(200, json="choices"),
    "object": httpx.Response(200, json={}),
    "error in a 200": httpx.Response(200, json={"error": {"message": "house secret"}}),
    "no choices": httpx.Response(200, json={"choices": []}),
    "choices null": httpx.Response(200, json={"choices": None}),
    "choices object": httpx.Response(200, json={"choices": {}}),
    "choice null": httpx.Response(200, json={"choices": [None]}),
    "choice list": httpx.Response(200, json={"choices": [[]]}),
    "no message": httpx.Response(200, json={"choices": [{"text": "an older protocol"}]}),
    "message null": httpx.Response(200, json={"choices": [{"message": None}]}),
    "message string": httpx.Response(200, json={"choices": [{"message": "hi"}]}),
    "no content": httpx.Response(200, json={"choices": [{"message": {"role": "assistant"}}]}),
    "too deep": httpx.Response(200, content=b"[" * 100_000),
}


@pytest.mark.parametrize("response", NONSENSE.values(), ids=NONSENSE.keys())
def test_an_answer_that_is_no_completion_fails_the_job(response: httpx.Response):
    failed = failure(lambda _: response)
    assert (failed.code, failed.message) == (
        "backend_nonsense",
        "The model server's answer is not a chat completion.",
    )


def test_an_answer_that_is_not_what_its_encoding_says_fails_the_job():
    async def broken(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip"))

    async def call() -> Any:
        async with OpenAIBackend("http://gpu/v1", "m", httpx.MockTransport(broken)) as backend:
            return await backend(job_of(prompt="x"))

    with pytest.raises(JobFailed) as raised:
        asyncio.run(call())
    assert raised.value.code in {"backend_nonsense", "backend_unreachable"}


# A real server


class ModelServer(BaseHTTPRequestHandler):
    """As much of an OpenAI-compatible server as a job needs."""

    seen: list[tuple[str, str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, self.headers["traceparent"], body))
        status = 200 if body["model"] == "tinyllama" else 404
        answer = json.dumps(COMPLETION).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        return None


def test_jobs_reach_a_real_server_and_come_back():
    ModelServer.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), ModelServer) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        base_url = f"http://127.0.0.1:{server.server_port}/v1"

        async def call() -> tuple[list[Any], JobFailed]:
            async with OpenAIBackend(base_url, "tinyllama") as backend:
                results = await asyncio.gather(*(backend(job_of(prompt=f"p{number}")) for number in range(3)))
            async with OpenAIBackend(base_url, "another") as backend:
                with pytest.raises(JobFailed) as raised:
                    await backend(job_of(prompt="x"))
            return results, raised.value

        try:
            results, failed = asyncio.run(call())
        finally:
            server.shutdown()
            thread.join()
    assert [result["text"] for result in results] == ["Grüße!"] * 3
    assert failed.code == "backend_refused"
    assert {(path, trace) for path, trace, _ in ModelServer.seen} == {("/v1/chat/completions", TRACE)}
    prompts = sorted(body["messages"][0]["content"] for _, _, body in ModelServer.seen)
    assert prompts == ["p0", "p1", "p2", "x"]


def test_a_closed_port_is_a_server_that_cannot_be_reached():
    with ThreadingHTTPServer(("127.0.0.1", 0), ModelServer) as server:
        port = server.server_port

    async def call() -> Any:
        async with OpenAIBackend(f"http://127.0.0.1:{port}/v1", "m") as backend:
            return await backend(job_of(prompt="x"))

    with pytest.raises(TryAgain) as raised:
        asyncio.run(call())
    assert raised.value.code == "backend_unreachable"
