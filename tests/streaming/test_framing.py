"""What the loop sends for an answer, chunk by chunk."""

import base64
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.streaming.bodies import Watched, always, answer, failing, ticking
from tests.streaming.conftest import Serve
from tests.streaming.runtime_double import ARN, LONG, TRACE, Lies, RuntimeDouble
from tests.streaming.wire import MAX_CHUNK_BYTES

METADATA = {
    "statusCode": 200,
    "headers": {"Content-Type": "text/event-stream"},
    "multiValueHeaders": {"X-Twice": ["1", "2"]},
}


def test_each_piece_is_sent_before_the_next_is_computed(double: RuntimeDouble, serving: Serve) -> None:
    go_on = threading.Semaphore(0)

    def pieces() -> Iterator[bytes]:
        for number in range(50):
            yield b"piece %d" % number
            assert go_on.acquire(timeout=LONG)

    body = Watched(pieces())
    serving(always(body))
    invoked = double.invoke({})
    for number in range(50):
        assert invoked.arrived.get(timeout=LONG) == b"piece %d" % number
        assert not invoked.over.is_set()
        go_on.release()

    assert invoked.wait().ended
    assert (invoked.metadata, invoked.trailers) == (METADATA, {})
    body.require_closed_once()


@pytest.mark.parametrize(
    ("body", "members", "sent"),
    [
        ('{"a": "\N{EURO SIGN}"}', {}, b'{"a": "\xe2\x82\xac"}'),
        (b"\0\xff", {}, b"\0\xff"),
        (base64.b64encode(b"\0\xff").decode(), {"isBase64Encoded": True}, b"\0\xff"),
        ("", {}, b""),
    ],
    ids=["text", "bytes", "base64", "empty"],
)
def test_a_whole_body_is_sent_in_the_same_way(
    double: RuntimeDouble, serving: Serve, body: Any, members: dict[str, Any], sent: bytes
) -> None:
    serving(always(body, 404, **members))
    invoked = double.invoke({}).wait()
    assert (invoked.metadata, invoked.body, invoked.ended) == (METADATA | {"statusCode": 404}, sent, True)


def test_a_large_piece_is_split(double: RuntimeDouble, serving: Serve) -> None:
    large = bytes(range(256)) * 4096
    serving(always(Watched(iter([large, b"end"]))))
    invoked = double.invoke({}).wait()
    assert invoked.body == large + b"end"
    assert invoked.largest_chunk == MAX_CHUNK_BYTES


def test_nothing_is_sent_of_empty_pieces(double: RuntimeDouble, serving: Serve) -> None:
    """An empty chunk would end the body."""
    serving(always(Watched(iter([b"", b"one", b"", b"", b"two", b""]))))
    invoked = double.invoke({}).wait()
    assert [invoked.arrived.get_nowait() for _ in range(2)] == [b"one", b"two"]
    with pytest.raises(queue.Empty):
        invoked.arrived.get_nowait()
    assert invoked.ended


def test_a_stream_without_a_piece_has_its_metadata(double: RuntimeDouble, serving: Serve) -> None:
    serving(always(Watched(iter([]))))
    invoked = double.invoke({}).wait()
    assert (invoked.metadata, invoked.body, invoked.ended) == (METADATA, b"", True)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_no_body_is_sent_where_http_has_none(double: RuntimeDouble, serving: Serve, method: str, status: int) -> None:
    body = Watched(failing())
    serving(always(body, status))
    invoked = double.invoke({"httpMethod": method}).wait()
    assert (invoked.metadata["statusCode"], invoked.body, invoked.ended) == (status, b"", True)
    body.require_closed_once()


def test_an_error_before_the_first_piece_is_reported_instead_of_a_response(
    double: RuntimeDouble, serving: Serve
) -> None:
    """Until a piece is sent, an error can still have a status of its own."""
    body = Watched(failing())
    serving(always(body))
    invoked = double.invoke({}).wait()
    assert invoked.sent == b""
    assert invoked.error is not None
    assert invoked.error["header"] == invoked.error["errorType"] == "Function.ValueError"
    body.require_closed_once()


def test_an_error_within_a_stream_is_reported_in_trailers(double: RuntimeDouble, serving: Serve) -> None:
    body = Watched(failing(b"one", b"two"))
    serving(always(body))
    invoked = double.invoke({}).wait()
    assert invoked.body == b"onetwo"
    assert invoked.failure["header"] == invoked.failure["errorType"] == "Function.ValueError"
    assert any("bodies.py" in place for place in invoked.failure["stackTrace"])
    assert "secret" not in str(invoked.failure)
    body.require_closed_once()


class Größe(Exception):  # noqa: PLC2401
    """A class whose name is no ASCII, as headers are."""


@pytest.mark.parametrize("error", [ValueError("a secret of the caller"), Größe(), ExceptionGroup("", [ValueError()])])
def test_a_handler_that_raises_is_reported_without_its_message(
    double: RuntimeDouble, serving: Serve, error: Exception
) -> None:
    def handler(event: Any, context: Any) -> Any:
        if event:
            return answer("good")
        raise error

    serving(handler)
    invoked = double.invoke({}).wait()
    assert invoked.error is not None
    assert "secret" not in str(invoked.error)
    assert double.invoke({"next": True}).wait().body == b"good"


def test_pieces_under_metadata_that_cannot_be_sent_are_closed(double: RuntimeDouble, serving: Serve) -> None:
    body = Watched(iter([b"never"]))
    serving(always(body, headers={"a": b"no JSON"}))
    assert double.invoke({}).wait().error is not None
    body.require_closed_once()


@pytest.mark.parametrize(
    "returned", [None, {}, {"statusCode": 200}, {"body": ""}, [], answer(None), answer({}), answer([b"a"])]
)
def test_a_return_value_that_is_no_response_is_reported(double: RuntimeDouble, serving: Serve, returned: Any) -> None:
    serving(lambda event, context: returned if event else answer("good"))
    assert double.invoke({"a": 1}).wait().error is not None
    assert double.invoke({}).wait().body == b"good"


@pytest.mark.parametrize("event", [b"", b"{", b"\xff", b"nul"])
def test_an_event_that_is_no_json_is_reported(double: RuntimeDouble, serving: Serve, event: bytes) -> None:
    serving(always("good"))
    assert double.invoke(event).wait().error is not None
    assert double.invoke({}).wait().body == b"good"


@pytest.mark.parametrize("event", [[], "text", 7, None])
def test_an_event_of_another_kind_is_the_apps_to_answer(double: RuntimeDouble, serving: Serve, event: Any) -> None:
    serving(always("no REST event", 400))
    assert double.invoke(event).wait().metadata["statusCode"] == 400


def test_the_context_has_what_lambda_tells(double: RuntimeDouble, serving: Serve) -> None:
    contexts: list[Any] = []
    loop = serving(
        lambda event, context: contexts.append(context) or answer(loop.environ.get("_X_AMZN_TRACE_ID", "none"))
    )
    traced = double.invoke({}).wait()
    untraced = double.invoke({}, Lies({"Lambda-Runtime-Trace-Id": None})).wait()

    context = contexts[0]
    assert (context.aws_request_id, context.invoked_function_arn) == (traced.request_id, ARN)
    assert (context.function_name, context.function_version) == ("router-stream", "7")
    assert (context.streams_responses, context.client_context) == (True, None)
    assert (traced.body, untraced.body) == (TRACE.encode(), b"none")


def test_a_stream_ends_incomplete_before_lambda_would_stop_the_process(double: RuntimeDouble, serving: Serve) -> None:
    body = Watched(ticking())
    serving(always(body))
    invoked = double.invoke({}, Lies({"Lambda-Runtime-Deadline-Ms": _in(700)})).wait()
    assert invoked.body == b"first"
    assert invoked.failure["errorType"] == "Function.OutOfTime"
    body.require_closed_once()


def test_a_whole_answer_is_sent_even_when_time_is_nearly_up(double: RuntimeDouble, serving: Serve) -> None:
    serving(always("whole"))
    invoked = double.invoke({}, Lies({"Lambda-Runtime-Deadline-Ms": _in(400)})).wait()
    assert (invoked.body, invoked.ended) == (b"whole", True)


def _in(milliseconds: int) -> str:
    import time

    return str(round(time.time() * 1000) + milliseconds)
