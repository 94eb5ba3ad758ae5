"""lambda_router_worker.backend.openai_backend: what a model server's errors mean for the job, and for the server."""

import gzip
import json
import time
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from lambda_router_worker.backend.model_server import Patience
from lambda_router_worker.backend.server_trouble import Kind, ServerTrouble
from lambda_router_worker.outcomes import JobFailed, TryAgain
from tests.integration.backend.openai_jobs import (
    answering,
    ask,
    failure_of,
    job_of,
    sending,
    streaming,
    trouble_of,
    with_backend,
)
from tests.model_servers import GREETING, Call, Script, chunk, event, model_server
from tests.servers import free_port

SOON = Patience(first=0.3, next=0.3)

# Statuses

WORDS = {"error": {"message": "This model's context is 4096 tokens.", "code": "context_length_exceeded"}}


@pytest.mark.parametrize("status", [408, 409, 425, 429])
def test_a_busy_server_costs_an_attempt(status: int):
    failed = failure_of(answering(status, WORDS, Retry_After="7"))
    assert isinstance(failed, TryAgain)
    assert (failed.code, failed.after_seconds) == ("backend_busy", 7)
    assert str(status) in failed.message
    assert "4096" not in failed.message


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 599])
def test_5xx_may_be_the_servers_trouble(status: int):
    trouble = trouble_of(answering(status, b"house secret", Retry_After="7"))
    assert (trouble.kind, trouble.reason, trouble.was_there) == (Kind.BROKEN, f"status {status}", True)
    assert isinstance(trouble.otherwise, TryAgain)
    assert (trouble.otherwise.code, trouble.otherwise.after_seconds) == ("backend_busy", 7)
    assert "secret" not in trouble.otherwise.message


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 407, 410])
def test_what_no_other_job_would_change_may_be_the_servers_trouble(status: int):
    trouble = trouble_of(answering(status, {"error": {"message": "house secret"}}))
    assert (trouble.kind, trouble.reason, trouble.was_there) == (Kind.REFUSED_US, f"status {status}", False)
    assert isinstance(trouble.otherwise, JobFailed)
    assert trouble.otherwise.code == "backend_rejected"
    assert "secret" not in trouble.otherwise.message


def test_400_is_doubtful_and_the_caller_reads_why():
    trouble = trouble_of(answering(400, WORDS))
    assert (trouble.kind, trouble.reason) == (Kind.DOUBTFUL, "status 400")
    assert isinstance(trouble.otherwise, JobFailed)
    assert trouble.otherwise.code == "backend_rejected"
    assert "This model's context is 4096 tokens. (context_length_exceeded)" in trouble.otherwise.message


@pytest.mark.parametrize("status", [413, 422])
def test_what_is_about_the_job_is_final_and_the_caller_reads_why(status: int):
    failed = failure_of(answering(status, WORDS))
    assert isinstance(failed, JobFailed)
    assert failed.code == "backend_rejected"
    assert "This model's context is 4096 tokens. (context_length_exceeded)" in failed.message


@pytest.mark.parametrize("status", [406, 414, 418, 431, 451])
def test_other_refusals_are_final(status: int):
    failed = failure_of(answering(status, {"error": {"message": "house secret"}}))
    assert isinstance(failed, JobFailed)
    assert (failed.code, failed.message) == (
        "backend_rejected",
        f"The model server rejected the job with status {status}.",
    )


def test_a_server_that_hangs_up_amid_an_error_has_still_said_its_status():
    def script(call: Call) -> None:
        call.head(413, Content_Length="1000")
        call.reset()

    assert failure_of(script).code == "backend_rejected"


def test_the_key_is_not_quoted():
    words = {"error": {"message": "Incorrect key sk-of-a-test, try another"}}
    trouble = trouble_of(answering(400, words), api_key="sk-of-a-test")
    assert "sk-of" not in trouble.otherwise.message


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry_After": "0"}, 0, 0),
        ({"Retry_After": "2.5"}, 2.5, 2.5),
        ({"Retry_After": "{in_a_minute}"}, 50, 60),
        ({"Retry_After": "{in_a_minute_somewhere}"}, 50, 60),
        ({"Retry_After": "Fri, 31 Dec 9999 23:59:59 -9999"}, 3_600, 3_600),
        ({"Retry_After": "soon"}, 0, 0),
        ({"retry_after_ms": "1500"}, 1.5, 1.5),
    ],
    ids=["zero", "decimal", "a date", "an absurd zone", "the end of time", "a word", "milliseconds"],
)
def test_a_servers_retry_after_is_kept(headers: dict[str, str], least: float, most: float):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    dates = {"in_a_minute": date, "in_a_minute_somewhere": date.replace("GMT", "+9999")}
    given = {name: value.format(**dates) for name, value in headers.items()}
    failed = failure_of(answering(429, b"", **given))
    assert isinstance(failed, TryAgain)
    assert least <= failed.after_seconds <= most


# Errors with status 200

ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "a status": ({"error": {"message": "loading", "code": 503}}, ServerTrouble, "status 503"),
    "a status as text": ({"error": {"message": "slow down", "code": "429"}}, TryAgain, "backend_busy"),
    "a member status": ({"error": {"message": "?", "status": 422}}, JobFailed, "backend_rejected"),
    "a word": ({"error": {"message": "?", "type": "x", "code": "rate_limit_exceeded"}}, TryAgain, "backend_busy"),
    "a type": ({"error": {"message": "?", "type": "invalid_request_error"}}, ServerTrouble, "status 400"),
    "no key": ({"error": {"code": "invalid_api_key"}}, ServerTrouble, "status 401"),
    "no model": ({"error": {"code": "model_not_found"}}, ServerTrouble, "status 404"),
    "nothing of it": ({"error": {"message": "house secret"}}, ServerTrouble, "status 500"),
    "text": ({"error": "house secret"}, ServerTrouble, "status 500"),
    "flat": ({"object": "error", "message": "?", "type": "BadRequestError", "code": 400}, ServerTrouble, "status 400"),
    "no status": ({"error": {"code": 200}}, ServerTrouble, "status 500"),
    "beside choices": ({"error": {"code": 503}, "choices": []}, ServerTrouble, "status 503"),
}


@pytest.mark.parametrize(("document", "kind", "mark"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_in_a_200_goes_by_its_code(document: Any, kind: type[Exception], mark: str):
    late = [*GREETING[:2], document]
    for script in (answering(200, document), streaming(document), streaming(*late)):
        with pytest.raises(kind) as raised:
            ask(script)
        assert getattr(raised.value, "reason", None) == mark or getattr(raised.value, "code", None) == mark


@pytest.mark.parametrize("data", [b"out of memory", b'{"message": "?", "code": 500}', b'{"error": "?"}'])
def test_an_event_that_is_called_an_error_is_one(data: bytes):
    trouble = trouble_of(sending(event(chunk("Once")), b"event: error\ndata: " + data + b"\n\n"))
    assert (trouble.reason, trouble.otherwise.code) == ("status 500", "backend_busy")


# Answers that are none

INVALID: dict[str, Script] = {
    "no body": answering(200),
    "204": lambda call: call.head(204),
    "text": answering(200, b"It works!"),
    "not UTF-8": answering(200, b'{"choices":"\xff\xfe"}'),
    "null": answering(200, None),
    "number": answering(200, 5),
    "list": answering(200, []),
    "string": answering(200, "choices"),
    "object": answering(200, {}),
    "cut": answering(200, b'{"choices": ['),
    "no choices": answering(200, {"choices": []}),
    "choices null": answering(200, {"choices": None}),
    "choices object": answering(200, {"choices": {}}),
    "choice null": answering(200, {"choices": [None]}),
    "choice list": answering(200, {"choices": [[]]}),
    "no message": answering(200, {"choices": [{"text": "an older protocol"}]}),
    "message null": answering(200, {"choices": [{"message": None}]}),
    "message string": answering(200, {"choices": [{"message": "hi"}]}),
    "too deep": answering(200, b"[" * 100_000),
    "a stream of nothing": streaming(),
    "a stream of no JSON": sending(b"data: hello\n\n"),
    "a stream of lists": streaming([]),
    "no gzip": sending(b"no gzip", Content_Encoding="gzip"),
    "zstd, which nobody asked for": sending(b"\x28\xb5\x2f\xfd", Content_Encoding="zstd"),
    "raw deflate": sending(zlib.compress(b"data: hello\n\n", wbits=-15), Content_Encoding="deflate"),
}


@pytest.mark.parametrize("script", INVALID.values(), ids=INVALID.keys())
def test_an_answer_that_is_no_completion_fails_the_job(script: Script):
    failed = failure_of(script)
    assert (type(failed), failed.code) == (JobFailed, "backend_invalid_response")


def test_a_web_page_is_the_servers_trouble():
    trouble = trouble_of(answering(200, b"<html>", Content_Type="text/html; charset=utf-8"))
    assert (trouble.kind, trouble.otherwise.code) == (Kind.REFUSED_US, "backend_invalid_response")


def _forever(piece: bytes) -> Script:
    def script(call: Call) -> None:
        call.begin_stream()
        while True:
            call.piece(piece)

    return script


TOO_LARGE: dict[str, Script] = {
    "one document": answering(200, b'{"choices": "' + b"x" * 17 * 2**20),
    "one line": _forever(b"data: " + b"x" * 65_000),
    "one event of many lines": _forever(b"data: \n" * 9_000),
    "many events": _forever(event(chunk("x" * 65_000))),
    "many tool calls": _forever(event(chunk(tool_calls=[{"id": "a", "function": {"arguments": "x" * 65_000}}]))),
    "comments": _forever(b": ping\n\n" * 8_000),
    "white space": _forever(b"\n" * 65_000),
    "gzip": sending(gzip.compress(b'{"choices": "' + b"0" * 100 * 2**20), Content_Encoding="gzip"),
    "gzip of comments": sending(gzip.compress(b": ping\n" * 10 * 2**20), Content_Encoding="gzip"),
}


@pytest.mark.parametrize("script", TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_an_answer_without_end_is_not_read_to_its_end(script: Script):
    assert failure_of(script).code == "result_too_large"


# Connections


def test_a_closed_port_is_the_servers_trouble():
    with pytest.raises(ServerTrouble) as raised:
        with_backend(lambda backend: backend(job_of(prompt="x")), f"http://127.0.0.1:{free_port()}/v1")
    trouble = raised.value
    assert (trouble.kind, trouble.reason, trouble.was_there) == (Kind.UNREACHABLE, "connection refused", False)
    assert isinstance(trouble.otherwise, TryAgain)
    assert trouble.otherwise.code == "backend_unreachable"


def test_a_host_that_does_not_exist_is_named_so_without_its_name():
    with pytest.raises(ServerTrouble) as raised:
        with_backend(lambda backend: backend(job_of(prompt="x")), "http://no-such-host.invalid/v1")
    assert (raised.value.kind, raised.value.reason) == (Kind.UNREACHABLE, "host name not found")


def test_tls_on_a_plain_port_is_said_so():
    with model_server() as server, pytest.raises(ServerTrouble) as raised:
        with_backend(lambda backend: backend(job_of(prompt="x")), server.base_url.replace("http:", "https:"))
    assert raised.value.kind is Kind.UNREACHABLE
    assert raised.value.reason.startswith("TLS failed: ")
    assert "plain HTTP" in raised.value.reason


def _silent(call: Call) -> None:
    call.wait_for_hangup()


def _silent_in_between(call: Call) -> None:
    call.begin_stream()
    call.piece(event(chunk("Once")))
    call.wait_for_hangup()


def _pinging(call: Call) -> None:
    call.begin_stream()
    call.piece(event(chunk("Once")))
    while True:
        call.piece(b": ping\n\n")
        call.socket.settimeout(0.05)
        try:
            if not call.socket.recv(1):
                return
        except TimeoutError:
            call.socket.settimeout(None)


@pytest.mark.parametrize("script", [_silent, _silent_in_between, _pinging])
def test_silence_is_the_servers_trouble(script: Script):
    trouble = trouble_of(script, patience=SOON)
    assert (trouble.kind, trouble.reason, trouble.was_there) == (Kind.BROKEN, "no response for 0.3 s", True)
    assert trouble.otherwise.code == "backend_unreachable"


def _reset_before_a_byte(call: Call) -> None:
    call.reset()


def _close_before_a_byte(call: Call) -> None:
    call.drop()


def _reset_amid_the_answer(call: Call) -> None:
    call.begin_stream()
    call.piece(event(chunk("Once")))
    call.reset()


def _close_amid_the_answer(call: Call) -> None:
    call.begin_stream()
    call.piece(event(chunk("Once")))
    call.drop()


def _end_without_a_reason(call: Call) -> None:
    call.head(200, Content_Type="text/event-stream", Connection="close")
    call.send(event(chunk("Once")))
    call.drop()


def _no_http(call: Call) -> None:
    call.send(b"SSH-2.0-OpenSSH_9.9\r\n")
    call.drop()


@pytest.mark.parametrize(
    "script",
    [
        _reset_before_a_byte,
        _close_before_a_byte,
        _reset_amid_the_answer,
        _close_amid_the_answer,
        _end_without_a_reason,
        _no_http,
    ],
)
def test_a_connection_that_breaks_is_the_servers_trouble(script: Script):
    with model_server(script) as server, pytest.raises(ServerTrouble) as raised:
        with_backend(lambda backend: backend(job_of(prompt="x")), server.base_url)
    trouble = raised.value
    assert (trouble.kind, trouble.was_there) == (Kind.UNREACHABLE, True)
    assert trouble.reason in {"connection lost", "connection reset"}
    assert trouble.otherwise.code == "backend_unreachable"
    assert len(server.seen) == 1


def test_a_kept_connection_that_breaks_before_a_byte_is_replaced_free_of_charge():
    def script(call: Call) -> None:
        earlier = [one for one in server.seen if one.connection == call.connection]
        call.drop() if len(earlier) > 1 else call.stream()

    async def three(backend: Any) -> Any:
        return [await backend(job_of(prompt=prompt)) for prompt in ("a", "b", "c")]

    with model_server(script) as server:
        assert [result["text"] for result in with_backend(three, server.base_url)] == ["Grüße!"] * 3
        assert [call.prompt for call in server.seen if call.prompt == "a"] == ["a"]
        assert server.connections >= 2


def test_a_job_that_kills_the_server_on_a_kept_connection_was_there():
    """Otherwise it would come back for ever: its second sending finds nobody."""

    def script(call: Call) -> None:
        if call.prompt == "deadly":
            server.socket.close()
            time.sleep(0.1)  # its loop still holds it
            call.reset()
        else:
            call.stream()

    async def both(backend: Any) -> None:
        await backend(job_of(prompt="harmless"))
        await backend(job_of(prompt="deadly"))

    with model_server(script) as server, pytest.raises(ServerTrouble) as raised:
        with_backend(both, server.base_url)
    assert (raised.value.reason, raised.value.was_there) == ("connection refused", True)


# Redirects


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("target", ["/other/chat/completions", "http://127.0.0.1:{port}/other/chat/completions"])
def test_a_redirect_within_the_server_is_followed_with_the_method_kept(status: int, target: str):
    def script(call: Call) -> None:
        if call.path.startswith("/v1"):
            call.answer(status, Location=target.format(port=server.port))
        else:
            call.stream()

    with model_server(script) as server:
        result = with_backend(lambda backend: backend(job_of(prompt="x")), server.base_url, api_key="sk-of-a-test")
        assert result["text"] == "Grüße!"
        first, second = server.seen
    assert (first.method, first.body) == (second.method, second.body)
    assert second.headers["authorization"] == "Bearer sk-of-a-test"


REDIRECTS: dict[str, tuple[int, str]] = {
    "another port": (307, "http://127.0.0.1:9/v1/chat/completions"),
    "another host": (308, "http://localhost:{port}/v1/chat/completions"),
    "another scheme": (307, "https://127.0.0.1:{port}/v1/chat/completions"),
    "another method": (302, "/login"),
    "another method, 303": (303, "/login"),
    "nowhere": (307, ""),
    "no URL": (307, "http://[::1"),
    "a circle": (307, "/v1/chat/completions"),
    "not modified": (304, ""),
}


@pytest.mark.parametrize(("status", "target"), REDIRECTS.values(), ids=REDIRECTS.keys())
def test_any_other_redirect_is_the_servers_trouble(status: int, target: str):
    def script(call: Call) -> None:
        location = {"Location": target.format(port=server.port)} if target else {}
        call.answer(status, **location)

    with model_server(script) as server, pytest.raises(ServerTrouble) as raised:
        with_backend(lambda backend: backend(job_of(prompt="x")), server.base_url)
    assert raised.value.kind is Kind.REFUSED_US
    assert str(status) in raised.value.reason
    assert "127" not in raised.value.reason
    assert raised.value.otherwise.code == "backend_rejected"
    assert len(server.seen) <= 6


def test_no_error_holds_the_url_or_the_prompt():
    secret = "x" * 40
    for script in (answering(500), answering(404), _reset_before_a_byte, _silent):
        trouble = trouble_of(script, job_of(prompt=secret), patience=SOON)
        told = json.dumps([trouble.reason, trouble.otherwise.message, str(trouble)])
        assert secret not in told
        assert "127.0.0.1" not in told
