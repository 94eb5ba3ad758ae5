"""``lambda-router proxy`` from its start to its end: key, port, options, Ctrl-C."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lambda_router.errors import KitError
from lambda_router.proxy import serving
from tests.client.conftest import Command
from tests.client.proxy.proxied import answers_all, environment, log_in, proxy_for, starting
from tests.contract.repository import ROOT
from tests.model_servers import Call, event, model_server


@pytest.fixture
def url() -> Iterator[str]:
    with model_server(answers_all) as server:
        yield server.base_url.removesuffix("/v1")


def test_the_key_is_shown_at_the_first_start_and_later_on_request_only(home: Path, url: str, command: Command) -> None:
    log_in(home, {"alpha": url})
    with starting(home, "--port", "0") as proxied:
        key = proxied.key
    with starting(home, "--port", "0") as proxied:
        assert proxied.base_url
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{proxied.base_url}/models", headers=headers, trust_env=False).status_code == 200
        assert key not in "".join(proxied.said)
    shown = command("proxy", "--show-key")
    assert (shown.stdout, shown.stderr, shown.returncode) == (f"{key}\n", "", 0)
    assert (home / "proxy.key").stat().st_mode & 0o777 == 0o600


def test_a_new_key_replaces_the_old_one(command: Command) -> None:
    first = command("proxy", "--show-key").stdout.strip()
    again = command("proxy", "--new-key")
    assert again.returncode == 0
    assert len(again.stderr.splitlines()) == 2, "and that a running proxy keeps the old one"
    second = command("proxy", "--show-key").stdout.strip()
    assert first != second
    assert second in again.stderr


@pytest.mark.parametrize("content", ["", "sk-lr-short", "sk-other"])
def test_a_damaged_key_is_not_used(home: Path, command: Command, content: str) -> None:
    command("proxy", "--show-key")
    (home / "proxy.key").write_text(content)
    ran = command("proxy", "--show-key")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "--new-key" in ran.stderr


def test_a_key_that_others_can_read_is_not_used(home: Path, command: Command) -> None:
    key = command("proxy", "--show-key").stdout.strip()
    (home / "proxy.key").chmod(0o644)
    ran = command("proxy", "--show-key")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "--new-key" in ran.stderr
    assert key not in ran.stderr


def test_a_port_that_is_taken_is_named(home: Path, url: str, command: Command) -> None:
    log_in(home, {"alpha": url})
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        ran = command("proxy", "--port", port)
    assert ran.returncode == 1
    assert port in ran.stderr
    assert "--port" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_machines_are_let_in_on_request_only(home: Path, url: str, command: Command, host: str) -> None:
    log_in(home, {"alpha": url})
    ran = command("proxy", "--port", "0", "--host", host)
    assert ran.returncode == 1
    assert "--allow-remote" in ran.stderr
    assert not (home / "proxy.key").exists()


def test_letting_other_machines_in_is_warned_of(home: Path, url: str) -> None:
    log_in(home, {"alpha": url})
    with starting(home, "--port", "0", "--host", "0.0.0.0", "--allow-remote") as proxied:
        headers = {"Authorization": f"Bearer {proxied.key}"}
        assert "WARNING" in "".join(proxied.said)
        models = f"http://127.0.0.1:{proxied.port}/v1/models"
        # An address cannot be rebound, but a name can.
        for host, status in (("192.0.2.7:11435", 200), ("[2001:db8::1]", 200), ("gpu-box.lan", 403)):
            answer = httpx.get(models, headers=headers | {"Host": host}, trust_env=False)
            assert answer.status_code == status


@pytest.mark.parametrize(
    "options",
    [
        ("--allow-origin", "*"),
        ("--allow-origin", "null"),
        ("--allow-origin", "https://a.example/page"),
        ("--allow-host", "*"),
        ("--allow-host", "a.example:80"),
        ("--allow-host", "http://a.example"),
        ("--port", "70000"),
    ],
)
def test_an_option_that_is_wrong_is_named(home: Path, url: str, command: Command, options: tuple[str, str]) -> None:
    log_in(home, {"alpha": url})
    ran = command("proxy", *options)
    assert ran.returncode == 2
    assert options[0] in ran.stderr
    assert options[1] in ran.stderr


def test_without_a_login_there_is_nothing_to_serve(command: Command) -> None:
    ran = command("proxy", "--port", "0")
    assert ran.returncode == 4
    assert "lambda-router login" in ran.stderr


def test_an_unknown_server_is_refused(home: Path, url: str, command: Command) -> None:
    log_in(home, {"alpha": url})
    assert command("proxy", "--server", "gamma").returncode == 4


@pytest.mark.parametrize("missing", ["uvicorn", "starlette"])
def test_without_the_extra_one_sentence_says_how_to_get_it(home: Path, missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from lambda_router.cli import main; main(['proxy'])"
    command = [sys.executable, "-c", program]
    ran = subprocess.run(
        command, cwd=ROOT, env=environment(home), capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.returncode == 1
    assert {"starlette", "uvicorn", '"./FILE.whl[proxy]"'} <= set(re.split(r"[ \n]", ran.stderr))
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize(("how", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_an_end_by_signal_is_quiet_and_ends_open_streams(tmp_path: Path, how: signal.Signals, status: int) -> None:
    ended: list[bool] = []

    def hold(call: Call) -> None:
        call.begin_stream()
        call.piece(event({}))
        ended.append(call.wait_for_hangup(15))

    with proxy_for(tmp_path / "home", ("alpha",), hold) as proxied:
        with proxied.tool() as tool, tool.stream("POST", "/v1/responses", json={}) as response:
            pieces = response.iter_raw()
            next(pieces)
            assert proxied.stop(how) == status
            with pytest.raises(httpx.RemoteProtocolError):
                list(pieces)
        said = "".join(proxied.said)
    assert ended == [True]
    assert "Traceback" not in said
    assert "token-of-alpha" not in said


def test_no_secret_is_on_the_command_line(home: Path, url: str) -> None:
    log_in(home, {"alpha": url})
    with starting(home, "--port", "0") as proxied:
        line = Path(f"/proc/{proxied.process.pid}/cmdline").read_bytes()
        environ = Path(f"/proc/{proxied.process.pid}/environ").read_bytes()
        for secret in (proxied.key.encode(), b"token-of-alpha"):
            assert secret not in line
            assert secret not in environ


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a b", "198.51.100.7"])
def test_a_host_that_is_not_here_is_told(host: str) -> None:
    with pytest.raises(KitError, match="--host"):
        serving.listen(host, 0, allow_remote=True)


def test_a_name_of_loopback_is_loopback() -> None:
    with serving.listen("localhost", 0, allow_remote=False) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
