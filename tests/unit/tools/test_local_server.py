"""The HTTP server of ``make run``, over real sockets: what it does otherwise than ``chalice.local``."""

import errno
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
from chalice.app import Chalice, CORSConfig, Response

from tools.local.gateway import Gateway
from tools.local.http import MAX_BODY_BYTES, Handler
from tools.local.server import LocalServer


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


class Impatient(Handler):
    timeout = 0.3


@pytest.fixture
def server() -> Iterator[LocalServer]:
    server = LocalServer(0, Impatient)
    server.gateway = Gateway(tiny_app())
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    yield server
    server.stop(5)
    thread.join(5)


def connect(server: LocalServer) -> HTTPConnection:
    return HTTPConnection("127.0.0.1", server.server_port, timeout=5)


def ask(server: LocalServer, method: str, path: str, **options: Any) -> tuple[HTTPResponse, Any]:
    connection = connect(server)
    connection.request(method, path, **options)
    response = connection.getresponse()
    raw = response.read()
    connection.close()
    return response, json.loads(raw) if raw else None


def say(server: LocalServer, raw: bytes) -> bytes:
    """Everything that comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as client:
        client.sendall(raw)
        return b"".join(iter(lambda: client.recv(65_536), b""))


def problem_in(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    assert b"Connection: close" in head
    return json.loads(body)


def test_an_unknown_route_is_a_404_problem_that_does_not_repeat_the_token(server: LocalServer) -> None:
    response, body = ask(server, "GET", "/nowhere", headers={"Authorization": "Bearer secret-token"})
    assert (response.status, body["type"]) == (404, "urn:problem-type:lambda-router:not-found")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-Id"] == body["instance"]
    assert "secret-token" not in json.dumps(body) + str(response.headers)


@pytest.mark.parametrize("path", ["/echo//", "/slow;jsessionid=1", "/slow/more", "//["])
def test_a_path_that_api_gateway_would_not_match_is_not_matched(server: LocalServer, path: str) -> None:
    assert ask(server, "GET", path)[0].status == 404


def test_a_problem_of_the_gateway_carries_the_cors_headers_when_a_page_may_call(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_CORS_ORIGIN", "https://app.example.com")
    response, _ = ask(server, "GET", "/nowhere")
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"


def test_the_event_is_the_one_that_api_gateway_sends(server: LocalServer) -> None:
    _, body = ask(server, "POST", "/echo/a%20b%2Fc?x=1&x=2&empty=", body=b'{"a": 1}', headers={"X-Kind": "tea"})
    event = body["event"]
    assert (body["word"], body["body"]) == ("a b/c", '{"a": 1}')
    assert event["path"] == event["requestContext"]["path"] == "/echo/a%20b%2Fc"
    assert event["httpMethod"] == event["requestContext"]["httpMethod"] == "POST"
    assert event["resource"] == "/echo/{word}"
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "empty": [""]}
    assert event["multiValueHeaders"]["x-kind"] == ["tea"]
    assert event["isBase64Encoded"] is True
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", event["requestContext"]["requestId"])


def test_every_value_of_a_repeated_header_arrives(server: LocalServer) -> None:
    raw = say(server, b"GET /echo/x HTTP/1.1\r\nX-Twice: 1\r\nx-twice: 2\r\nConnection: close\r\n\r\n")
    event = json.loads(raw.partition(b"\r\n\r\n")[2])["event"]
    assert event["multiValueHeaders"]["x-twice"] == ["1", "2"]
    assert event["headers"]["x-twice"] == "2"


def test_the_function_has_as_long_as_in_the_cloud(server: LocalServer) -> None:
    _, remaining = ask(server, "GET", "/remaining")
    assert 28_000 < remaining <= 29_000


@pytest.mark.parametrize("length", [b"-1", b"ten", b"1.5", b"+1", b"\xb2", b"1, 1", b"1\r\nContent-Length: 1"])
def test_a_content_length_that_is_no_length_is_a_400(server: LocalServer, length: bytes) -> None:
    answer = say(server, b"POST /echo/x HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\nx")
    assert problem_in(answer)["status"] == 400


def test_a_chunked_body_is_a_411(server: LocalServer) -> None:
    answer = say(server, b"POST /echo/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
    assert problem_in(answer)["status"] == 411


def test_a_body_that_is_too_large_is_a_413_before_it_is_read(server: LocalServer) -> None:
    head = b"POST /echo/x HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1)
    assert problem_in(say(server, head + b"x" * 500_000))["status"] == 413


def test_a_body_of_the_largest_size_is_taken(server: LocalServer) -> None:
    _, body = ask(server, "POST", "/echo/x", body=b"x" * MAX_BODY_BYTES)
    assert len(body["body"]) == MAX_BODY_BYTES


def test_a_client_that_asks_first_is_told_to_go_on(server: LocalServer) -> None:
    raw = say(
        server,
        b"POST /echo/x HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\nhi",
    )
    assert raw.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


def test_a_client_that_asks_first_is_refused_first(server: LocalServer) -> None:
    head = b"POST /echo/x HTTP/1.1\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (MAX_BODY_BYTES + 1)
    answer = say(server, head)
    assert b"100 Continue" not in answer
    assert problem_in(answer)["status"] == 413


def test_half_a_body_does_not_hold_a_thread(server: LocalServer) -> None:
    began = time.monotonic()
    answer = say(server, b"POST /echo/x HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
    assert problem_in(answer)["status"] == 408
    assert time.monotonic() - began < 3


def test_a_silent_connection_is_closed(server: LocalServer) -> None:
    assert say(server, b"") == b""


def test_a_client_that_goes_away_is_no_traceback(server: LocalServer, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\n\r\n")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # close by reset
    with socket.create_connection(("127.0.0.1", server.server_port)) as client:
        client.sendall(b"POST /echo/x HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
    time.sleep(1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "POST"])
def test_a_wrong_method_reaches_the_app(server: LocalServer, method: str) -> None:
    response, _ = ask(server, method, "/slow")
    assert (response.status, response.headers["Allow"]) == (405, "GET")


def test_a_method_that_does_not_exist_is_a_501_problem(server: LocalServer) -> None:
    response, body = ask(server, "BREW", "/slow")
    assert (response.status, body["type"], body["title"]) == (501, "about:blank", "Not Implemented")


@pytest.mark.parametrize("line", [b"GARBAGE", b"GET / HTTP/9.9", b"GET /" + b"x" * 70_000 + b" HTTP/1.1"])
def test_a_malformed_request_line_is_a_problem_too(server: LocalServer, line: bytes) -> None:
    answer = say(server, line + b"\r\n\r\n")
    assert 400 <= problem_in(answer)["status"] <= 505
    assert b"GARBAGE" not in answer


def test_head_is_answered_without_a_body(server: LocalServer) -> None:
    raw = say(server, b"HEAD /slow HTTP/1.1\r\nConnection: close\r\n\r\n")
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b" 405 " in head.splitlines()[0]
    assert body == b""


@pytest.mark.parametrize("code", [204, 304])
def test_an_answer_that_has_no_body_says_nothing_of_one(server: LocalServer, code: int) -> None:
    raw = say(server, b"GET /status/%d HTTP/1.1\r\nConnection: close\r\n\r\n" % code)
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b'ETag: "1"' in head
    assert b"Content-" not in head
    assert body == b""


def test_a_preflight_is_answered_without_the_app(server: LocalServer) -> None:
    response, body = ask(server, "OPTIONS", "/from-elsewhere")
    assert (response.status, body) == (200, None)
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert response.headers["Access-Control-Allow-Methods"] == "GET,OPTIONS"
    assert response.headers["X-Request-Id"]


def test_an_app_that_breaks_is_a_500_problem(server: LocalServer) -> None:
    response, body = ask(server, "GET", "/slow?break=1")
    assert (response.status, body["type"]) == (500, "urn:problem-type:lambda-router:internal-error")


def test_one_connection_serves_many_requests(server: LocalServer) -> None:
    connection = connect(server)
    sockets = set()
    for word in ("a", "b", "c"):
        connection.request("GET", f"/echo/{word}")
        assert json.loads(connection.getresponse().read())["word"] == word
        sockets.add(connection.sock)
    assert len(sockets) == 1
    connection.close()


def test_requests_at_a_time_do_not_see_each_other(server: LocalServer) -> None:
    seen: dict[int, str] = {}

    def call(number: int) -> None:
        seen[number] = ask(server, "POST", f"/echo/{number}", body=str(number))[1]["body"]

    threads = [threading.Thread(target=call, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {number: str(number) for number in range(20)}


def test_a_stop_lets_a_request_end_and_takes_no_new_one() -> None:
    server = LocalServer(0)
    server.gateway = Gateway(tiny_app())
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    connection = connect(server)
    connection.request("GET", "/slow")
    time.sleep(0.2)
    assert server.stop(5) is True
    response = connection.getresponse()
    assert (json.loads(response.read()), response.headers["Connection"]) == ({"slow": True}, "close")
    with pytest.raises(ConnectionError):
        ask(server, "GET", "/echo/x")


def test_a_taken_port_is_found_when_the_server_is_made(server: LocalServer) -> None:
    with pytest.raises(OSError, match="in use") as refusal:
        LocalServer(server.server_port)
    assert refusal.value.errno == errno.EADDRINUSE
