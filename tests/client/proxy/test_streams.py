"""Bodies through the proxy: as they come, in both directions, to the end or visibly without one."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import httpx
import pytest

from lambda_router.proxy.application import Application
from lambda_router.proxy.rules import Rules
from lambda_router.proxy.upstream import Timeouts
from tests.client.proxy.proxied import Proxied, answers_all, log_in, proxy_for
from tests.model_servers import Call, event, model_server
from tests.patience import eventually

MEGABYTE = bytes(1_048_576)
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    with proxy_for(tmp_path_factory.mktemp("proxy") / "home") as proxied:
        yield proxied


@pytest.fixture
def proxied(shared: Proxied) -> Proxied:
    shared.upstreams["alpha"].script = answers_all
    shared.upstreams["alpha"].seen.clear()
    return shared


def runs(proxied: Proxied, script: Callable[[Call], None]) -> None:
    proxied.upstreams["alpha"].script = script


def memory_of(proxied: Proxied) -> int:
    """The most bytes of memory that the process ever had."""
    status = Path(f"/proc/{proxied.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1_024


def test_each_event_arrives_before_the_next_is_sent(proxied: Proxied) -> None:
    read: Queue[bytes] = Queue()

    def speak(call: Call) -> None:
        call.begin_stream()
        for number in range(3):
            call.piece(event({"number": number}))
            assert read.get(timeout=10) == event({"number": number})
        call.end_stream()

    runs(proxied, speak)
    with proxied.tool() as tool, tool.stream("POST", CHAT, json={"stream": True}) as response:
        assert response.headers["content-type"] == "text/event-stream"
        for piece in response.iter_raw():
            read.put(piece)


@pytest.mark.parametrize("begins", [True, False], ids=["in the stream", "before the head"])
def test_a_caller_that_leaves_ends_the_servers_request(proxied: Proxied, begins: bool) -> None:
    ended: Queue[bool] = Queue()

    def hold(call: Call) -> None:
        if begins:
            call.begin_stream()
            call.piece(event({}))
        ended.put(call.wait_for_hangup(15))

    runs(proxied, hold)
    line = f"Authorization: Bearer {proxied.key}"
    with proxied.connect(f"POST {CHAT} HTTP/1.1", "Host: localhost", line, "Content-Length: 2", body=b"{}") as caller:
        if begins:
            assert caller.recv(1_000)
        else:
            assert eventually(lambda: proxied.upstreams["alpha"].seen)
    assert ended.get(timeout=20)


@contextmanager
def reading_server() -> Iterator[tuple[str, "Queue[bytes]"]]:
    """A server that hands each piece of a request to the test, and answers once one ends in ``end``."""
    pieces: Queue[bytes] = Queue()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            while piece := connection.recv(65_536):
                pieces.put(piece)
                if b"end" in piece:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", pieces


@pytest.mark.parametrize("chunked", [True, False])
def test_a_request_arrives_as_it_is_sent(proxied: Proxied, chunked: bool) -> None:
    with reading_server() as (url, pieces):
        log_in(proxied.home, {"alpha": url})
        framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 8"
        first, rest = (b"5\r\nfirst\r\n", b"3\r\nend\r\n0\r\n\r\n") if chunked else (b"first", b"end")
        line = f"Authorization: Bearer {proxied.key}"
        try:
            with proxied.connect("POST /v1/jobs HTTP/1.1", "Host: localhost", line, framing) as tool:
                tool.sendall(first)
                arrived = b""
                while b"first" not in arrived:
                    arrived += pieces.get(timeout=10)
                tool.sendall(rest)
                assert tool.recv(1_000).startswith(b"HTTP/1.1 200")
        finally:
            log_in(proxied.home, {"alpha": proxied.upstreams["alpha"].base_url.removesuffix("/v1")})
        assert framing.lower().encode() in arrived.lower()


def test_a_huge_answer_waits_for_its_reader_and_not_in_memory(proxied: Proxied) -> None:
    sent = 0

    def speak(call: Call) -> None:
        nonlocal sent
        call.head(200, Content_Length=str(100 * len(MEGABYTE)))
        for _ in range(100):
            call.send(MEGABYTE)
            sent += 1

    runs(proxied, speak)
    before = memory_of(proxied)
    with proxied.tool() as tool, tool.stream("GET", "/v1/jobs") as response:
        pieces = response.iter_raw()
        next(pieces)
        assert eventually(lambda: memory_of(proxied) > before + 40 * len(MEGABYTE), 1) is False
        assert sent < 60
        assert sum(map(len, pieces)) > 99 * len(MEGABYTE)
    assert memory_of(proxied) < before + 40 * len(MEGABYTE)


def test_a_huge_request_does_not_gather(proxied: Proxied) -> None:
    before = memory_of(proxied)
    seen = 0
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        nonlocal seen
        connection, _ = listener.accept()
        with connection:
            while seen < 100 * len(MEGABYTE) and (piece := connection.recv(1_048_576)):
                seen += len(piece)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    log_in(proxied.home, {"alpha": f"http://127.0.0.1:{listener.getsockname()[1]}"})
    try:
        with listener, proxied.tool() as tool:
            body = (MEGABYTE for _ in range(100))
            answer = tool.post("/v1/jobs", content=body, headers={"Content-Length": str(100 * len(MEGABYTE))})
        assert answer.status_code == 200
    finally:
        log_in(proxied.home, {"alpha": proxied.upstreams["alpha"].base_url.removesuffix("/v1")})
    assert memory_of(proxied) < before + 40 * len(MEGABYTE)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_an_error_passes_as_it_is_and_is_not_tried_again(proxied: Proxied, status: int) -> None:
    problem = {"error": {"message": "m", "type": "t", "param": None, "code": "c"}, "request_id": "r"}
    runs(proxied, lambda call: call.answer(status, problem, Retry_After="7", x_should_retry="true"))
    with proxied.tool() as tool:
        response = tool.post(CHAT, json={"model": "m"})
    assert (response.status_code, response.json()) == (status, problem)
    assert (response.headers["retry-after"], response.headers["x-should-retry"]) == ("7", "true")
    assert len(proxied.upstreams["alpha"].seen) == 1


@pytest.mark.parametrize(
    "script",
    [
        Call.drop,
        Call.reset,
        lambda call: (call.send(b"SSH-2.0-OpenSSH\r\n\r\n"), call.drop()),
        lambda call: (call.send(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), call.drop()),
        lambda call: (call.send(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n"), call.drop()),
        lambda call: (call.send(b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n"), call.drop()),
    ],
    ids=["gone", "reset", "not HTTP", "negative length", "endless header", "bare return"],
)
def test_a_server_without_an_answer_is_502_once(proxied: Proxied, script: Callable[[Call], None]) -> None:
    runs(proxied, script)
    with proxied.tool() as tool:
        response = tool.post(CHAT, json={})
    assert (response.status_code, response.json()["error"]["code"]) == (502, "server_unreachable")
    assert len(proxied.upstreams["alpha"].seen) == 1
    assert "token-of-alpha" not in response.text + "".join(proxied.said)


def _short(call: Call) -> None:
    call.head(200, Content_Length="100")
    call.send(b"too short")
    call.drop()


def _cut(call: Call) -> None:
    call.begin_stream()
    call.piece(event({}))
    call.drop()


def _bad_chunk(call: Call) -> None:
    call.begin_stream()
    call.piece(event({}))
    call.send(b"not a length\r\n")
    call.drop()


@pytest.mark.parametrize("script", [_short, _cut, _bad_chunk])
def test_an_answer_that_breaks_off_is_seen_to_break_off(proxied: Proxied, script: Callable[[Call], None]) -> None:
    runs(proxied, script)
    with proxied.tool() as tool, pytest.raises(httpx.RemoteProtocolError):
        tool.post(CHAT, json={})
    # The proxy is well, and has told its owner without a traceback.
    runs(proxied, answers_all)
    with proxied.tool() as tool:
        assert tool.get("/v1/models").status_code == 200
    assert eventually(lambda: "broke an answer off" in "".join(proxied.said))
    assert "Traceback" not in "".join(proxied.said)


def test_a_compressed_answer_stays_compressed(proxied: Proxied) -> None:
    import gzip

    packed = gzip.compress(b'{"a": 1}')
    runs(proxied, lambda call: call.answer(200, packed, Content_Encoding="gzip"))
    with proxied.tool() as tool, tool.stream("GET", "/v1/jobs") as response:
        assert b"".join(response.iter_raw()) == packed
        assert response.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_passes(proxied: Proxied, status: int) -> None:
    runs(proxied, lambda call: call.head(status, ETag='"1"'))
    with proxied.tool() as tool:
        assert tool.get("/v1/jobs").status_code == status
        assert tool.head("/v1/jobs").status_code == status


def test_a_server_that_never_answers_is_504(home: Path) -> None:
    with model_server(lambda call: call.wait_for_hangup(20)) as server:
        log_in(home, {"alpha": server.base_url.removesuffix("/v1")})
        said: list[str] = []
        application = Application(Rules("k"), None, said.append, Timeouts(read=0.1))

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(application)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as tool:
                answer = await tool.post(CHAT, json={}, headers={"Authorization": "Bearer k"})
            await application.close()
            return answer

        import anyio

        response = anyio.run(ask)
    assert (response.status_code, json.loads(response.content)["error"]["code"]) == (504, "server_unreachable")
    assert said
