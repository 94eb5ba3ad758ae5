"""Bodies in pieces through the HTTP server of ``make run``: when bytes arrive, and how a stream ends."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from typing import Any

import pytest
from chalice.app import Chalice

from chalicelib.api.streamed import StreamedResponse, can_stream
from tests.http_server import serving
from tests.integration.processes import ROOT, clean_environment
from tools.local.gateway import Gateway

#: As long as no test takes.
LONG = 20.0


class Stream:
    """A body that the test drives: it goes on, ends or breaks when the test says so."""

    def __init__(self) -> None:
        self.go_on = threading.Semaphore(0)
        self.closed = threading.Event()
        self.asked_for = 0
        self.last: Callable[[], bytes | None] = lambda: None

    def pieces(self) -> Generator[bytes]:
        try:
            yield b"first"
            while True:
                self.asked_for += 1
                while not self.go_on.acquire(timeout=0.02):
                    yield b""
                if (piece := self.last()) is None:
                    return
                yield piece
        finally:
            self.closed.set()

    def end(self) -> None:
        self.last = lambda: None
        self.go_on.release()

    def say(self, piece: bytes) -> None:
        self.last = lambda: piece
        self.go_on.release()

    def fail(self) -> None:
        def fail() -> bytes:
            raise ValueError

        self.last = fail
        self.go_on.release()


def app_of(stream: Stream) -> Chalice:
    app = Chalice("streams", configure_logs=False)

    @app.route("/v1/responses", methods=["GET", "HEAD"])
    def streamed() -> StreamedResponse:
        return StreamedResponse(stream.pieces(), {"Content-Type": "text/event-stream", "X-Twice": ["1", "2"]})

    @app.route("/v1/responses/{status}")
    def bodiless(status: str) -> StreamedResponse:
        return StreamedResponse(stream.pieces(), {"Content-Type": "text/plain"}, int(status))

    @app.route("/v1/responses/broken/at-once")
    def broken() -> StreamedResponse:
        def pieces() -> Iterator[bytes]:
            yield from ()
            raise ValueError

        return StreamedResponse(pieces(), {"Content-Type": "text/plain"})

    @app.route("/v1/models")
    def streaming() -> dict[str, Any]:
        return _facts(app)

    @app.route("/v1/jobs")
    def buffered() -> dict[str, Any]:
        return _facts(app)

    return app


def _facts(app: Chalice) -> dict[str, Any]:
    request = app.current_request
    return {
        "streams": can_stream(request),
        "seconds": round(request.lambda_context.get_remaining_time_in_millis() / 1000),
    }


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def port(stream: Stream) -> Iterator[int]:
    with serving(Gateway(app_of(stream)), drain_seconds=1) as port:
        yield port
        stream.end()


@contextmanager
def asking(port: int, method: str = "GET", path: str = "/v1/responses") -> Iterator[HTTPResponse]:
    connection = HTTPConnection("127.0.0.1", port, timeout=LONG)
    connection.request(method, path)
    response = connection.getresponse()
    try:
        yield response
    finally:
        response.close()
        connection.close()


def test_bytes_arrive_before_the_body_is_finished(port: int, stream: Stream) -> None:
    with asking(port) as response:
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert response.headers.get_all("X-Twice") == ["1", "2"]
        assert response.read1() == b"first"
        for number in range(100):
            stream.say(b"piece %d" % number)
            assert response.read1() == b"piece %d" % number
            assert not stream.closed.is_set()
        stream.end()
        assert response.read() == b""
    assert stream.closed.wait(LONG)


def test_a_stream_that_breaks_is_cut_and_does_not_look_whole(port: int, stream: Stream) -> None:
    with asking(port) as response:
        assert response.read1() == b"first"
        stream.fail()
        with pytest.raises(IncompleteRead):
            response.read()
    assert stream.closed.wait(LONG)


def test_a_stream_that_breaks_before_its_first_piece_is_a_500_problem(port: int) -> None:
    with asking(port, path="/v1/responses/broken/at-once") as response:
        assert response.status == 500
        assert response.headers["Content-Type"] == "application/problem+json"
        assert b"internal-error" in response.read()


def test_a_client_that_leaves_ends_its_stream(port: int, stream: Stream) -> None:
    with asking(port) as response:
        assert response.read1() == b"first"
    assert stream.closed.wait(LONG)


def test_a_client_that_does_not_read_slows_its_stream_down(port: int, stream: Stream) -> None:
    """Pieces are not computed in advance: at most what the buffers of both sockets hold."""
    for _ in range(1000):
        stream.say(b"x" * 100_000)
    with socket.create_connection(("127.0.0.1", port), timeout=LONG) as client:
        client.sendall(b"GET /v1/responses HTTP/1.1\r\nHost: x\r\n\r\n")
        before = -1
        while stream.asked_for != before or before < 2:
            before = stream.asked_for
            threading.Event().wait(0.3)
        assert stream.asked_for < 500
        assert not stream.closed.is_set()
    assert stream.closed.wait(LONG)


def test_a_stop_of_the_server_breaks_a_long_stream_off_and_closes_it() -> None:
    stream = Stream()
    with serving(Gateway(app_of(stream)), drain_seconds=1) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=LONG)
        connection.request("GET", "/v1/responses")
        response = connection.getresponse()
        assert response.read1() == b"first"
    assert stream.closed.wait(LONG)
    with pytest.raises(IncompleteRead):
        response.read()
    connection.close()


_SERVER = """
import signal, sys, time
from chalice.app import Chalice
from chalicelib.api.streamed import StreamedResponse
from tools.local.asgi import GatewayApp
from tools.local.gateway import Gateway
from tools.local.server import listen, serve

def pieces():
    try:
        yield b"first"
        while True:
            time.sleep(1.0)
            yield b""
    finally:
        print("closed", flush=True)

app = Chalice("streams", configure_logs=False)
app.route("/v1/responses")(lambda: StreamedResponse(pieces(), {"Content-Type": "text/event-stream"}))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
listener = listen(0)
print(listener.getsockname()[1], flush=True)
serve(GatewayApp(Gateway(app)), listener, 1)
"""


def test_the_process_of_the_server_ends_after_its_streams_have_closed() -> None:
    """A stream holds a place among a caller's, and its log line is still to be written."""
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        with asking(int(server.stdout.readline())) as response:
            assert response.read1() == b"first"
            server.terminate()
            out, _ = server.communicate(timeout=LONG)
    assert (server.returncode, out) == (0, "closed\n")


def test_head_and_answers_without_a_body_close_their_stream_unread(port: int, stream: Stream) -> None:
    with asking(port, "HEAD") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
        assert response.read() == b""
    with asking(port, path="/v1/responses/204") as response:
        assert response.status == 204
        assert response.headers["Transfer-Encoding"] is None
        assert response.read() == b""
    assert stream.asked_for == 0


def test_the_openai_api_streams_as_long_as_in_the_cloud_and_the_rest_does_not(port: int) -> None:
    with asking(port, path="/v1/models") as response:
        assert response.read() == b'{"streams":true,"seconds":900}'
    with asking(port, path="/v1/jobs") as response:
        assert response.read() == b'{"streams":false,"seconds":29}'
