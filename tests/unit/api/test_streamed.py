"""chalicelib.api.streamed: one log line for a streamed response, at its end."""

import json
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any

import pytest
from chalice.app import Chalice

from chalicelib import errors
from chalicelib.api.middleware import problem_details, request_log
from chalicelib.api.streamed import Pieces, StreamedResponse, can_stream
from chalicelib.observability import begin_notes, notes
from lambda_router_queue import metrics
from lambda_router_queue.metrics import Metric
from tests.conftest import LambdaContext, gateway_event
from tests.emf import metric_lines

type LogLines = Callable[[], list[dict[str, Any]]]


class StreamingContext(LambdaContext):
    streams_responses = True


def app_of(body: Callable[[], Pieces]) -> Chalice:
    """An app with one route, under the middleware that logs."""
    app = Chalice("streams", configure_logs=False)
    app.register_middleware(request_log(app.routes), "http")
    app.register_middleware(problem_details, "http")

    @app.route("/v1/responses")
    def stream() -> StreamedResponse:
        notes().job_id = "job_1"
        return StreamedResponse(body(), {"Content-Type": "text/event-stream"})

    return app


def pieces_of(body: Callable[[], Pieces]) -> Pieces:
    """The pieces as a sender gets them."""
    answer = app_of(body)(gateway_event("GET", "/v1/responses", None, {}), StreamingContext())
    assert answer["statusCode"] == 200
    pieces: Pieces = answer["body"]
    return pieces


def three() -> Generator[bytes]:
    yield from (b"one", b"two", b"three")


def broken() -> Generator[bytes]:
    yield b"one"
    raise ValueError("a secret of the caller")


def test_a_context_that_does_not_say_so_cannot_stream() -> None:
    app = app_of(three)
    answers = []
    for context in (LambdaContext(), StreamingContext()):
        app(gateway_event("GET", "/v1/responses", None, {}), context)
        answers.append(can_stream(app.current_request))
    assert answers == [False, True]


def test_a_stream_is_logged_at_its_end_and_not_before(log_lines: LogLines, capsys: pytest.CaptureFixture[str]) -> None:
    pieces = pieces_of(three)
    assert next(pieces) == b"one"
    assert log_lines() == []

    assert list(pieces) == [b"two", b"three"]

    pieces.close()
    [line] = log_lines()
    assert (line["message"], line["status"], line["job_id"]) == ("request", 200, "job_1")
    assert len(metric_lines(capsys.readouterr().out)) == 1


def test_a_stream_that_is_closed_early_is_logged_once(log_lines: LogLines) -> None:
    pieces = pieces_of(three)
    next(pieces)
    pieces.close()
    pieces.close()
    assert [line["message"] for line in log_lines()] == ["request"]


def test_a_stream_of_which_nobody_takes_a_piece_is_logged(log_lines: LogLines) -> None:
    pieces_of(three).close()
    assert [line["message"] for line in log_lines()] == ["request"]


def test_an_exception_ends_the_stream_and_is_logged_without_its_message(log_lines: LogLines) -> None:
    pieces = pieces_of(broken)
    with closing(pieces), pytest.raises(ValueError, match="a secret"):
        list(pieces)
    unforeseen, request = log_lines()
    assert (unforeseen["message"], unforeseen["level"], unforeseen["error"]) == ("unforeseen", "ERROR", "ValueError")
    assert unforeseen["request_id"] == request["request_id"]
    assert (request["status"], request["problem"]) == (200, "internal-error")
    assert "a secret" not in json.dumps(log_lines())


def test_a_problem_in_a_stream_is_in_its_log_line(log_lines: LogLines) -> None:
    def pieces() -> Generator[bytes]:
        yield b" "
        raise errors.QueueUnavailable

    with closing(pieces_of(pieces)) as taken, pytest.raises(errors.QueueUnavailable):
        list(taken)
    [line] = log_lines()
    assert line["problem"] == errors.QueueUnavailable.slug()


def test_pieces_that_cannot_be_closed_are_logged_and_do_not_stop_the_sender(log_lines: LogLines) -> None:
    class Stuck:
        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            return b"more"

        def close(self) -> None:
            raise OSError

    pieces_of(Stuck).close()
    assert [line["message"] for line in log_lines()] == ["unforeseen", "request"]


def test_another_thread_and_another_request_do_not_change_whose_notes_and_metrics_they_are(
    log_lines: LogLines, capsys: pytest.CaptureFixture[str]
) -> None:
    def noting() -> Generator[bytes]:
        yield b"one"
        notes().principal = "alice"
        metrics.add(Metric.REQUESTS_REFUSED, 1, "of-the-stream")
        yield b"two"

    pieces = pieces_of(noting)
    next(pieces)
    begin_notes().principal = "bob"
    sender = threading.Thread(target=lambda: list(pieces))
    sender.start()
    sender.join()

    [line] = log_lines()
    assert line["principal"] == "alice"
    assert notes().principal == "bob"
    assert "of-the-stream" in capsys.readouterr().out
