"""The HTTP server of ``make run``, over real sockets: what it does otherwise than ``chalice.local``."""

import errno
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
from chalice.app import Chalice, CORSConfig, Response

from tests.http_server import serving
from tools.local.asgi import MAX_BODY_BYTES
from tools.local.gateway import Gateway, HttpRequest
from tools.local.problems import Answer
from tools.local.server import listen


def tiny_app() -> Chalice:
    """Routes that give back what the app was called with."""
    app = Chalice(app_name="tiny", configure_logs=False)

    @app.route("/echo/{word}", methods=["GET", "POST"], content_types=[])
    def echo(word: str) -> dict[str, Any]:
        request = app.current_request
        event = request.to_original_event()
        return {"word": word, "body": request.raw_body.decode(), "event": event}

    @app.route("/status/{code}")
    def status(code: str) -> Response:
        return Response("", {"Content-Type": "application/json", "ETag": '"1"'}, int(code))

    @app.route("/slow")
    def slow() -> dict[str, bool]:
        time.sleep(0.6)
        return {"slow": True}

    @app.route("/remaining")
    def remaining() -> float:
        return app.current_request.lambda_context.get_remaining_time_in_millis()

    @app.route("/from-elsewhere", cors=CORSConfig(allow_origin="https://app.example.com"))
    def from_elsewhere() -> dict[str, bool]:
        return {}

    @app.middleware("http")
    def break_on_demand(event: Any, get_response: Any) -> Any:
        if event.query_params and "break" in event.query_params:
            return None  # not a Response: breaks outside of Chalice's own try
        return get_response(event)

    return app


@pytest.fixture
def port() -> Iterator[int]:
    with serving(Gateway(tiny_app()), read_seconds=0.3) as port:
        yield port


def connect(port: int) -> HTTPConnection:
    return HTTPConnection("127.0.0.1", port, timeout=5)


def ask(port: int, method: str, path: str, **options: Any) -> tuple[HTTPResponse, Any]:
    connection = connect(port)
    connection.request(method, path, **options)
    response = connection.getresponse()
    raw = response.read()
    connection.close()
    return response, json.loads(raw) if raw else None


def say(port: int, request_line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    """Everything that comes back until the server closes the connection."""
    head = [request_line, b"Host: 127.0.0.1", b"Connection: close", *headers]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"\r\n".join(head) + b"\r\n\r\n" + body)
        return b"".join(iter(lambda: client.recv(65_536), b""))


def problem_in(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    return json.loads(body)


def test_an_unknown_route_is_a_404_problem_that_does_not_repeat_the_token(port: int) -> None:
    response, body = ask(port, "GET", "/nowhere", headers={"Authorization": "Bearer secret-token"})
    assert (response.status, body["type"]) == (404, "urn:problem-type:lambda-router:not-found")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-Id"] == body["instance"]
    assert "secret-token" not in json.dumps(body) + str(response.headers)


@pytest.mark.parametrize("path", ["/echo//", "/slow;jsessionid=1", "/slow/more", "//["])
def test_a_path_that_api_gateway_would_not_match_is_not_matched(port: int, path: str) -> None:
    assert ask(port, "GET", path)[0].status == 404


def test_a_problem_of_the_gateway_carries_the_cors_headers_when_a_page_may_call(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_CORS_ORIGIN", "https://app.example.com")
    response, _ = ask(port, "GET", "/nowhere")
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"


def test_the_event_is_the_one_that_api_gateway_sends(port: int) -> None:
    _, body = ask(port, "POST", "/echo/a%20b%2Fc?x=1&x=2&empty=", body=b'{"a": 1}', headers={"X-Kind": "tea"})
    event = body["event"]
    assert (body["word"], body["body"]) == ("a b/c", '{"a": 1}')
    assert event["path"] == event["requestContext"]["path"] == "/echo/a%20b%2Fc"
    assert event["httpMethod"] == event["requestContext"]["httpMethod"] == "POST"
    assert event["resource"] == "/echo/{word}"
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "empty": [""]}
    assert event["multiValueHeaders"]["x-kind"] == ["tea"]
    assert event["isBase64Encoded"] is True
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", event["requestContext"]["requestId"])


def test_every_value_of_a_repeated_header_arrives(port: int) -> None:
    raw = say(port, b"GET /echo/x HTTP/1.1", b"X-Twice: 1", b"x-twice: 2")
    event = json.loads(raw.partition(b"\r\n\r\n")[2])["event"]
    assert event["multiValueHeaders"]["x-twice"] == ["1", "2"]
    assert event["headers"]["x-twice"] == "2"


def test_the_function_has_as_long_as_in_the_cloud(port: int) -> None:
    _, remaining = ask(port, "GET", "/remaining")
    assert 28_000 < remaining <= 29_000


@pytest.mark.parametrize("length", [b"-1", b"ten", b"1.5", b"+1", b"\xb2", b"1, 2", b"1\r\nContent-Length: 2"])
def test_a_content_length_that_is_no_length_is_a_400(port: int, length: bytes) -> None:
    answer = say(port, b"POST /echo/x HTTP/1.1", b"Content-Length: " + length, body=b"x")
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_chunked_body_is_taken(port: int) -> None:
    _, body = ask(port, "POST", "/echo/x", body=iter([b"he", b"llo"]))
    assert body["body"] == "hello"


@pytest.mark.parametrize("body", [b"x" * (MAX_BODY_BYTES + 1), iter([b"x" * MAX_BODY_BYTES, b"x"])])
def test_a_body_that_is_too_large_is_a_413(port: int, body: Any) -> None:
    response, problem = ask(port, "POST", "/echo/x", body=body)
    assert (response.status, problem["type"]) == (413, "urn:problem-type:lambda-router:payload-too-large")


def test_a_body_of_the_largest_size_is_taken(port: int) -> None:
    _, body = ask(port, "POST", "/echo/x", body=b"x" * MAX_BODY_BYTES)
    assert len(body["body"]) == MAX_BODY_BYTES


def test_a_client_that_asks_first_is_told_to_go_on(port: int) -> None:
    raw = say(port, b"POST /echo/x HTTP/1.1", b"Content-Length: 2", b"Expect: 100-continue", body=b"hi")
    first, _, second = raw.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 100 ")
    assert second.startswith(b"HTTP/1.1 200 ")


def test_a_client_that_asks_first_is_refused_first(port: int) -> None:
    length = b"Content-Length: %d" % (MAX_BODY_BYTES + 1)
    answer = say(port, b"POST /echo/x HTTP/1.1", length, b"Expect: 100-continue")
    assert problem_in(answer)["status"] == 413


def test_half_a_body_is_a_408_after_a_while(port: int) -> None:
    answer = say(port, b"POST /echo/x HTTP/1.1", b"Content-Length: 10", body=b"half")
    assert problem_in(answer)["status"] == 408


def test_a_client_that_goes_away_is_no_traceback(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # close by reset
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
    time.sleep(1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "POST"])
def test_a_wrong_method_reaches_the_app(port: int, method: str) -> None:
    response, _ = ask(port, method, "/slow")
    assert (response.status, response.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize("line", [b"GARBAGE", b"GET /a b HTTP/1.1"])
def test_a_malformed_request_line_is_a_400_that_repeats_nothing(port: int, line: bytes) -> None:
    answer = say(port, line)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"GARBAGE" not in answer


def test_head_is_answered_without_a_body(port: int) -> None:
    head, _, body = say(port, b"HEAD /slow HTTP/1.1").partition(b"\r\n\r\n")
    assert b" 405 " in head.splitlines()[0]
    assert body == b""


@pytest.mark.parametrize("code", [204, 304])
def test_an_answer_that_has_no_body_says_nothing_of_one(port: int, code: int) -> None:
    head, _, body = say(port, b"GET /status/%d HTTP/1.1" % code).partition(b"\r\n\r\n")
    assert b'ETag: "1"' in head
    assert b"Content-" not in head
    assert body == b""


def test_a_preflight_is_answered_without_the_app(port: int) -> None:
    response, body = ask(port, "OPTIONS", "/from-elsewhere")
    assert (response.status, body) == (200, None)
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert response.headers["Access-Control-Allow-Methods"] == "GET,OPTIONS"
    assert response.headers["X-Request-Id"]


def test_an_app_that_breaks_is_a_500_problem(port: int) -> None:
    response, body = ask(port, "GET", "/slow?break=1")
    assert (response.status, body["type"]) == (500, "urn:problem-type:lambda-router:internal-error")


def test_one_connection_serves_many_requests(port: int) -> None:
    connection = connect(port)
    sockets = set()
    for word in ("a", "b", "c"):
        connection.request("GET", f"/echo/{word}")
        assert json.loads(connection.getresponse().read())["word"] == word
        sockets.add(connection.sock)
    assert len(sockets) == 1
    connection.close()


def test_requests_at_a_time_do_not_see_each_other(port: int) -> None:
    seen: dict[int, str] = {}

    def call(number: int) -> None:
        seen[number] = ask(port, "POST", f"/echo/{number}", body=str(number))[1]["body"]

    threads = [threading.Thread(target=call, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {number: str(number) for number in range(20)}


def test_a_stop_lets_a_request_end_and_takes_no_new_one() -> None:
    with ThreadPoolExecutor() as pool, serving(Gateway(tiny_app())) as port:
        slow = pool.submit(ask, port, "GET", "/slow")
        time.sleep(0.2)
    assert slow.result()[1] == {"slow": True}
    with pytest.raises(ConnectionError):
        ask(port, "GET", "/echo/x")


def test_a_stop_does_not_wait_for_a_request_that_takes_too_long() -> None:
    released = threading.Event()

    class Stuck:
        def answer(self, _: HttpRequest) -> Answer:
            released.wait(30)
            return Answer(200, [], b"")

    with ThreadPoolExecutor() as pool:
        with serving(Stuck(), drain_seconds=1) as port:
            stuck = pool.submit(say, port, b"GET / HTTP/1.1")
            time.sleep(0.2)
        assert not released.is_set()
        released.set()
    assert stuck.result().startswith(b"HTTP/1.1 500 ")


def test_a_taken_port_is_found_when_the_server_is_made(port: int) -> None:
    with pytest.raises(OSError, match="in use") as refusal:
        listen(port)
    assert refusal.value.errno == errno.EADDRINUSE


def test_responses_on_a_kept_connection_do_not_wait_for_acknowledgements() -> None:
    """Each took 40 ms: the client acknowledges late, and the rest of a response waited for it."""
    with listen(0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
