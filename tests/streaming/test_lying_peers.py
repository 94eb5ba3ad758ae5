"""A Runtime API that hangs up, refuses or says nonsense: the pieces are closed, and the next event is served."""

import itertools
import socket
import threading
from typing import Any

import pytest

from tests.streaming.bodies import Watched, always, answer, failing, ticking
from tests.streaming.conftest import Loop, Serve
from tests.streaming.runtime_double import LONG, Lies, RuntimeDouble


@pytest.fixture
def body() -> Watched:
    return Watched(ticking())


def good_after(body: Any) -> Any:
    """A handler that answers the first event with that, and every other one well."""
    bodies = itertools.chain([body], itertools.repeat("good"))
    return lambda event, context: answer(next(bodies))


def test_a_caller_that_leaves_ends_a_silent_stream(double: RuntimeDouble, serving: Serve, body: Watched) -> None:
    serving(good_after(body))
    invoked = double.invoke({}, Lies(hangs_up_after=len(b"first"))).wait()
    body.require_closed_once()
    assert not invoked.ended
    assert double.invoke({}).wait().body == b"good"


def test_a_caller_that_leaves_ends_a_busy_stream(double: RuntimeDouble, serving: Serve) -> None:
    body = Watched(itertools.repeat(b"x" * 100_000))
    serving(good_after(body))
    double.invoke({}, Lies(hangs_up_after=1_000_000)).wait()
    body.require_closed_once()
    assert double.invoke({}).wait().body == b"good"


def test_a_caller_that_leaves_before_the_metadata_ends_the_stream(
    double: RuntimeDouble, serving: Serve, body: Watched
) -> None:
    serving(good_after(body))
    double.invoke({}, Lies(hangs_up_after=0)).wait()
    body.require_closed_once()
    assert double.invoke({}).wait().body == b"good"


def test_a_caller_that_does_not_read_holds_the_stream_no_longer_than_its_time(
    double: RuntimeDouble, serving: Serve
) -> None:
    import time

    body = Watched(itertools.repeat(b"x" * 100_000))
    serving(good_after(body))
    deadline = str(round(time.time() * 1000) + 1500)
    stuck = double.invoke({}, Lies({"Lambda-Runtime-Deadline-Ms": deadline}, stops_reading_after=100_000))
    body.require_closed_once()
    stuck.over.set()
    assert double.invoke({}).wait().body == b"good"


@pytest.mark.parametrize("status", [400, 403, 413])
def test_a_refused_response_does_not_affect_the_next(double: RuntimeDouble, serving: Serve, status: int) -> None:
    serving(always("good"))
    double.invoke({}, Lies(status=status)).wait()
    assert double.invoke({}).wait().body == b"good"


@pytest.mark.parametrize("lies", [Lies(status=403), Lies(hangs_up_after=0)], ids=["refused", "hung up"])
def test_a_refused_report_of_an_error_does_not_affect_the_next(
    double: RuntimeDouble, serving: Serve, lies: Lies
) -> None:
    serving(good_after(Watched(failing())))
    double.invoke({}, lies).wait()
    assert double.invoke({}).wait().body == b"good"


@pytest.mark.parametrize(
    "body", ["whole", Watched(failing()), Watched(failing(b"one"))], ids=["whole", "error", "later"]
)
def test_a_broken_environment_ends_the_process(double: RuntimeDouble, serving: Serve, body: Any) -> None:
    """500: "Container error. Non-recoverable state. Runtime should exit promptly." """
    loop = serving(always(body))
    double.invoke({}, Lies(status=500))
    assert "500" in str(loop.wait())


@pytest.mark.parametrize("deadline", [None, "soon", "-1", "", "1e3", "\N{SUPERSCRIPT TWO}".encode().decode("latin-1")])
def test_without_a_usable_deadline_there_are_29_seconds(
    double: RuntimeDouble, serving: Serve, deadline: str | None
) -> None:
    serving(lambda event, context: answer(str(context.get_remaining_time_in_millis())))
    invoked = double.invoke({}, Lies({"Lambda-Runtime-Deadline-Ms": deadline})).wait()
    assert 25_000 < int(invoked.body) <= 29_000


def test_a_deadline_that_has_passed_leaves_no_time(double: RuntimeDouble, serving: Serve) -> None:
    remaining: list[int] = []
    serving(lambda event, context: remaining.append(context.get_remaining_time_in_millis()) or answer("late"))
    double.invoke({}, Lies({"Lambda-Runtime-Deadline-Ms": "1"}))
    assert double.invoke({}).wait().ended
    assert remaining[0] == 0


@pytest.mark.parametrize(
    "lies",
    [Lies(next_status=500), Lies(next_status=403), Lies({"Lambda-Runtime-Aws-Request-Id": None})],
    ids=["500", "403", "no id"],
)
def test_a_reply_without_an_event_ends_the_process(double: RuntimeDouble, serving: Serve, lies: Lies) -> None:
    loop = serving(always("never"))
    double.invoke({}, lies)
    assert "no event" in str(loop.wait())


def test_half_an_event_ends_the_process(double: RuntimeDouble, serving: Serve) -> None:
    loop = serving(always("never"))
    double.invoke({}, Lies({"Content-Length": "100"}))
    threading.Timer(0.2, double.stop).start()
    assert "no event" in str(loop.wait())


def test_a_runtime_api_that_is_not_there_ends_the_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    assert "no event" in str(Loop(address, always("never")).wait())


def test_the_double_is_strict(double: RuntimeDouble) -> None:
    """A double that accepts anything would prove nothing."""
    invoked = double.invoke({})
    host, port = double.address.split(":")
    with socket.create_connection((host, int(port)), timeout=LONG) as client:
        client.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(65_536)
    head = (
        b"POST /2018-06-01/runtime/invocation/%b/response HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd."
        b"awslambda.http-integration-response\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n"
        b"Transfer-Encoding: chunked\r\n"
        b"Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=LONG) as client:
        client.sendall(head % invoked.request_id.encode() + b"0a\r\n")
        assert client.recv(1) == b""
    assert double.violations == ["not the size of a chunk: b'0a'"]
    double.violations.clear()
