"""The model server, and the handler instead of it."""

import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lambda_router_worker.checking.checks import chosen
from lambda_router_worker.checking.findings import Finding
from tests import model_servers, servers
from tests.integration.backend.hostile_servers import serving
from tests.integration.worker.check.checking import is_wrong, look, look_through, options
from tests.model_servers import Call, Script, completion, listing, model_server

MODEL = "tinyllama"
KEY = "hunter2-key"


def look_at(thing: str, script: Script, seconds: float | None = None, **given: object) -> Finding:
    with model_server(script) as running:
        return look(thing, seconds=seconds, backend=running.base_url, model=MODEL, **given)


@pytest.mark.parametrize("thing", ["model server", "token", "model", "stream"])
def test_a_healthy_server_is_right(thing: str) -> None:
    assert look_at(thing, listing(MODEL)).ok


def test_a_server_that_is_not_there_is_wrong() -> None:
    url = f"http://127.0.0.1:{servers.free_port()}/v1"

    finding = look("model server", backend=url, model=MODEL)

    assert is_wrong(finding, "connection refused", url)
    assert f"curl {url}/models" in finding.fix


def test_a_server_that_says_nothing_is_wrong_within_the_limit() -> None:
    began = time.monotonic()
    assert is_wrong(look_at("model server", Call.wait_for_hangup, seconds=0.5), "no answer within 0.5 s")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("url", ["ftp://a/v1", "http://a:hunter2@b/v1"])
def test_a_base_url_that_is_none_is_wrong(url: str) -> None:
    finding = look("model server", backend=url, model=MODEL)

    assert is_wrong(finding, "--backend")
    assert "hunter2" not in str(finding)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_the_server_rejects_is_wrong_and_not_shown(status: int) -> None:
    def script(call: Call) -> None:
        call.answer(status, {"error": {"message": f"Incorrect API key provided: {KEY}"}})

    finding = look_at("model server", script, backend_api_key=KEY)

    assert is_wrong(finding, f"status {status}")
    assert "BACKEND_API_KEY" in finding.fix
    assert KEY not in str(finding)


def test_a_web_page_is_wrong() -> None:
    def script(call: Call) -> None:
        call.answer(200, b"<html>", Content_Type="text/html")

    assert is_wrong(look_at("model server", script), "HTML")


def test_a_server_without_the_model_is_wrong_and_the_fix_names_those_it_has() -> None:
    def script(call: Call) -> None:
        if call.path.endswith("/models"):
            listing("llava", "phi")(call)
        else:
            call.answer(404, {"error": {"message": "model not found"}})

    finding = look_at("token", script)

    assert is_wrong(finding, "404", "model not found")
    assert "llava, phi" in finding.fix


def test_a_model_that_is_not_listed_and_completes_is_right() -> None:
    finding = look_at("model", listing("/models/tiny.gguf"))

    assert finding.ok
    assert "/models/tiny.gguf" in finding.found


def test_a_server_without_a_list_is_right_if_it_completes() -> None:
    def script(call: Call) -> None:
        if call.path.endswith("/models"):
            call.answer(404)
        else:
            call.stream()

    assert look_at("model", script).ok


def test_a_server_that_breaks_on_a_token_is_wrong() -> None:
    def script(call: Call) -> None:
        if call.path.endswith("/models"):
            listing(MODEL)(call)
        else:
            call.answer(500, {"error": {"message": "CUDA out of memory"}})

    assert is_wrong(look_at("token", script), "CUDA out of memory")


def test_a_busy_server_is_not_seen() -> None:
    def script(call: Call) -> None:
        if call.path.endswith("/models"):
            listing(MODEL)(call)
        else:
            call.answer(429, {"error": {"message": "try again"}})

    finding = look_at("token", script)

    assert (finding.ok, finding.seen) == (False, False)


def test_a_server_that_answers_in_one_piece_is_wrong() -> None:
    def script(call: Call) -> None:
        if call.path.endswith("/models"):
            listing(MODEL)(call)
        else:
            call.answer(200, completion("x"))

    assert look_at("token", script).ok
    assert is_wrong(look_at("stream", script), "one piece")


def test_no_more_than_one_token_is_requested() -> None:
    with model_server(listing(MODEL)) as running:
        assert look("stream", backend=running.base_url, model=MODEL).ok

        assert [call.json["max_tokens"] for call in running.completions] == [1]


@pytest.mark.parametrize(
    "given",
    [{}, {"handler": "a:b", "backend": "http://b/v1"}, {"backend": "http://b/v1"}],
    ids=["neither", "both", "no model"],
)
def test_neither_or_both_or_half_is_wrong_as_for_the_worker(given: dict[str, str]) -> None:
    (check,) = (each for each in chosen(options(**given), with_backend=True) if each.thing == "model server")

    assert is_wrong(look_through([check], **given)[0], " set")


def write(folder: Path, code: str) -> None:
    (folder / "handlers_to_check.py").write_text(code)


def test_a_handler_that_can_be_imported_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "print('loading')\ndef answer(job): pass\n")

    assert look("handler", handler="handlers_to_check:answer").ok


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import no_such_library", "no_such_library"),
        ("import os; os._exit(7)", "status 7"),
        ("def question(job): pass", "no 'answer'"),
    ],
)
def test_a_handler_that_cannot_be_imported_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, found: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, code)

    assert is_wrong(look("handler", handler="handlers_to_check:answer"), found)


def test_an_import_that_never_ends_is_wrong_within_the_limit_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written = tmp_path / "pid"
    write(tmp_path, f"import os, time; open({str(written)!r}, 'w').write(str(os.getpid())); time.sleep(60)")

    assert is_wrong(look("handler", handler="handlers_to_check:answer", seconds=4.0), "no answer within 4 s")

    # On a slow machine it may not have come that far.
    assert not written.exists() or not Path(f"/proc/{written.read_text()}").exists()


def test_a_port_that_somebody_else_has_is_wrong() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        finding = look("health port", health_port=port)

    assert is_wrong(finding, f"127.0.0.1:{port}")
    assert str(port) in finding.fix


def test_a_port_of_a_web_server_is_wrong() -> None:
    with model_servers.model_server(lambda call: call.answer(200, {"status": "ok"})) as running:
        assert is_wrong(look("health port", health_port=running.port))


def test_an_address_that_nobody_knows_is_wrong_in_words() -> None:
    finding = look("health port", health_port=0, health_host="no-such-host.invalid")

    assert is_wrong(finding, "no-such-host.invalid")
    assert "Unknown error" not in finding.found


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_an_address_that_cannot_be_a_name_is_wrong(host: str) -> None:
    assert is_wrong(look("health port", health_port=0, health_host=host), host)


def test_a_port_that_answers_nonsense_is_wrong() -> None:
    def handle(near: socket.socket) -> None:
        near.recv(65_536)
        near.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 200_000)

    with serving(handle) as url:
        assert is_wrong(look("health port", health_port=urlsplit(url).port))


def test_an_address_that_this_machine_lacks_is_wrong() -> None:
    assert is_wrong(look("health port", health_port=servers.free_port(), health_host="192.0.2.1"))


@pytest.mark.parametrize("port", [None, 0])
def test_a_port_that_is_free_or_not_used_is_right(port: int | None) -> None:
    assert look("health port", health_port=port).ok
