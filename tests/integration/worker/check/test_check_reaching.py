"""On the way to Redis: each fault is told apart, and none takes longer than its limit."""

import itertools
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lambda_router_worker.checking.checks import EVERY
from lambda_router_worker.checking.findings import Finding
from lambda_router_worker.secret_file import PIPE_SECONDS
from tests import servers, tls
from tests.integration.backend.hostile_servers import saying, serving, silent_server
from tests.integration.worker.check.checking import is_wrong, look
from tests.tls import HOST, Signed, encrypted, write_signed

#: Short, since the peers of these tests say nothing for longer.
STEP = 1.0


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    return write_signed(tmp_path_factory.mktemp("signed"))


def tls_url(port: int, authority: Path | str, host: str = HOST) -> str:
    return f"rediss://{host}:{port}/0?ssl_ca_certs={authority}"


@pytest.mark.parametrize("url", [None, "redis://:hunter2@host:port/0", "https://:hunter2@host"])
def test_a_url_that_is_none_is_wrong_and_not_shown(url: str | None) -> None:
    finding = look("Redis URL", redis_url=url)

    assert is_wrong(finding)
    assert "hunter2" not in str(finding)


def test_two_sources_of_the_url_are_wrong(tmp_path: Path) -> None:
    finding = look("Redis URL", redis_url="redis://h:1/0", redis_url_file=str(tmp_path / "url"))

    assert is_wrong(finding, "both set")
    assert "unset REDIS_URL" in finding.fix


def test_the_url_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("rediss+cluster://h:1\n")

    assert look("Redis URL", redis_url_file=str(tmp_path / "url")) == Finding("Redis URL", True, "a cluster, with TLS")


def test_the_limit_of_the_url_leaves_a_pipe_its_time() -> None:
    (check,) = (each for each in EVERY if each.thing == "Redis URL")

    assert check.seconds > PIPE_SECONDS


def test_a_name_that_nobody_knows_is_wrong() -> None:
    assert is_wrong(look("name", redis_url="redis://no-such-host.invalid/0"), "no-such-host.invalid")


def test_a_name_that_cannot_be_one_is_wrong() -> None:
    assert is_wrong(look("name", redis_url=f"redis://{'a' * 64}.invalid/0"), "a" * 64)


def test_a_name_server_that_hangs_does_not_hang_the_check() -> None:
    ended = threading.Event()

    def hang(host: str, port: int) -> list[object]:
        ended.wait(30)
        return []

    began = time.monotonic()
    assert is_wrong(look("name", redis_url="redis://host/0", resolve=hang, seconds=STEP))
    assert time.monotonic() - began < 20
    ended.set()


def test_a_port_where_nobody_listens_is_wrong() -> None:
    port = servers.free_port()

    assert is_wrong(look("port", redis_url=f"redis://{HOST}:{port}/0"), f"{HOST}:{port}", "Nothing listens")


def test_one_of_several_addresses_is_enough(redis_url: str) -> None:
    port = int(redis_url.rpartition(":")[2].removesuffix("/0"))
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("127.0.0.2", HOST)]

    finding = look("port", redis_url=f"redis://host:{port}/0", resolve=lambda *_: addresses)

    assert finding.ok
    assert f"{HOST}:{port} accepted" in finding.found
    assert f"127.0.0.2:{port}" in finding.found


@pytest.fixture(scope="module")
def full_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that the kernel drops what is sent there."""
    with socket.create_server((HOST, 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for each in waiting:
            each.close()


def test_a_port_that_drops_everything_is_wrong(full_port: int) -> None:
    assert is_wrong(look("port", redis_url=f"redis://{HOST}:{full_port}/0", step_seconds=STEP), "in time")


def test_tls_is_right_where_the_authority_is_known(redis_url: str, signed: Signed) -> None:
    with encrypted(redis_url, signed) as port:
        finding = look("certificate", redis_url=tls_url(port, signed.authority))
        handshake = look("TLS", redis_url=tls_url(port, signed.authority))

    assert (finding.ok, handshake.ok) == (True, True)
    assert "ends in 90 days" in finding.found
    assert "TLSv1.3" in handshake.found


def test_an_unknown_authority_is_wrong_and_the_fix_names_the_option(redis_url: str, signed: Signed) -> None:
    with encrypted(redis_url, signed) as port:
        finding = look("TLS", redis_url=f"rediss://{HOST}:{port}/0")

    assert is_wrong(finding, "authority", "does not know")
    assert "ssl_ca_certs" in finding.fix


def test_another_authority_is_wrong(redis_url: str, signed: Signed, tmp_path: Path) -> None:
    other = write_signed(tmp_path / "other")
    with encrypted(redis_url, signed) as port:
        assert is_wrong(look("TLS", redis_url=tls_url(port, other.authority)), "is not in", str(other.authority))


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_holds_no_authority_is_wrong(redis_url: str, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)

    assert is_wrong(look("TLS", redis_url=tls_url(int(redis_url.split(":")[2][:-2]), file)), "ssl_ca_certs")


def test_a_certificate_for_another_host_is_wrong_and_says_for_which(redis_url: str, tmp_path: Path) -> None:
    signed = write_signed(tmp_path / "other", host="redis.example.com")
    with encrypted(redis_url, signed) as port:
        assert is_wrong(look("TLS", redis_url=tls_url(port, signed.authority)), HOST, "redis.example.com")


def test_an_expired_certificate_is_wrong(redis_url: str, tmp_path: Path) -> None:
    signed = write_signed(tmp_path / "old", days=-1, begins=3)
    with encrypted(redis_url, signed) as port:
        assert is_wrong(look("TLS", redis_url=tls_url(port, signed.authority)), "expired")


def test_a_certificate_of_tomorrow_is_wrong(redis_url: str, tmp_path: Path) -> None:
    signed = write_signed(tmp_path / "new", begins=-1)
    with encrypted(redis_url, signed) as port:
        assert is_wrong(look("TLS", redis_url=tls_url(port, signed.authority)), "not valid yet")


def test_a_certificate_that_python_rejects_is_wrong_for_openssls_reason(redis_url: str, tmp_path: Path) -> None:
    """Since Python 3.13 an authority must say that it may sign (``ssl.VERIFY_X509_STRICT``)."""
    signed = write_signed(tmp_path / "lax", may_sign=False)
    with encrypted(redis_url, signed) as port:
        assert is_wrong(look("TLS", redis_url=tls_url(port, signed.authority)), "rejected", "key usage")


@pytest.mark.parametrize(("days", "authority_days", "whose"), [(13, 90, "the certificate"), (90, 13, "its authority")])
def test_a_certificate_that_ends_soon_is_wrong(
    redis_url: str, tmp_path: Path, days: int, authority_days: int, whose: str
) -> None:
    signed = write_signed(tmp_path / "soon", days=days, authority_days=authority_days)
    with encrypted(redis_url, signed) as port:
        url = tls_url(port, signed.authority)
        assert is_wrong(look("certificate", redis_url=url), whose, "13 days")
        assert look("login", redis_url=url).ok  # it works until then


def test_a_certificate_that_is_not_verified_is_said_to_be(redis_url: str, signed: Signed) -> None:
    with encrypted(redis_url, signed) as port:
        findings = [
            look(thing, redis_url=f"rediss://{HOST}:{port}/0?ssl_cert_reqs=none") for thing in ("TLS", "certificate")
        ]

    assert [(finding.ok, "not verified" in finding.found) for finding in findings] == [(True, True)] * 2


def test_a_server_that_wants_a_clients_certificate_is_wrong(redis_url: str, signed: Signed) -> None:
    with encrypted(redis_url, signed, wants_certificate=True) as port:
        finding = look("TLS", redis_url=tls_url(port, signed.authority))

    assert is_wrong(finding, "certificate from its clients")
    assert "tls-auth-clients" in finding.fix


def test_a_last_word_that_got_lost_is_listened_for_again(redis_url: str, signed: Signed) -> None:
    """Who sends PING to a server that has hung up by then gets a reset, and not the alert that came before."""
    connections = itertools.count()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed.certificate, signed.key)

    def handle(near: socket.socket) -> None:
        if next(connections) == 1:  # after that of the check of the port
            with context.wrap_socket(near, server_side=True) as session:
                session.recv(65_536)
                session.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        with socket.create_connection((HOST, port)) as far:
            tls.pass_on(near, far)

    with encrypted(redis_url, signed, wants_certificate=True) as port, serving(handle) as url:
        way = int(url.rpartition(":")[2].removesuffix("/0"))
        assert is_wrong(look("TLS", redis_url=tls_url(way, signed.authority)), "certificate from its clients")


def test_a_plain_url_to_a_tls_port_is_wrong(redis_url: str, signed: Signed) -> None:
    with encrypted(redis_url, signed) as port:
        finding = look("TLS", redis_url=f"redis://{HOST}:{port}/0")

    assert is_wrong(finding, "speaks TLS")
    assert "rediss://" in finding.fix


def test_a_tls_url_to_a_plain_port_is_wrong(redis_url: str) -> None:
    finding = look("TLS", redis_url=redis_url.replace("redis:", "rediss:"), step_seconds=3 * STEP)

    assert is_wrong(finding, "does not speak TLS")
    assert "redis://" in finding.fix


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("HTTP/1.1 400 Bad Request", "A web server"),
        ("SSH-2.0-OpenSSH_9.2", "no Redis"),
        ("$9999999999", "no Redis"),
        ("*1\r\n-ERR", "no Redis"),
        ("*1\r\n" * 5_000, "no Redis"),
    ],
    ids=["web", "ssh", "endless", "error within", "deep"],
)
def test_another_server_is_wrong(scheme: str, said: str, found: str) -> None:
    with saying(said) as (url, _):
        assert is_wrong(look("TLS", redis_url=url.replace("redis:", f"{scheme}:"), step_seconds=2), found)


def _hang_up(connection: socket.socket) -> None:
    connection.recv(1)


def _drip(connection: socket.socket) -> None:
    for _ in range(100):
        connection.sendall(b"$")
        time.sleep(0.05)


def _alert_alone(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"\x15\x03\x01\x00\x02\x02\x28")  # a fatal alert: handshake_failure


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
@pytest.mark.parametrize("handle", [_hang_up, _drip, _alert_alone])
def test_a_peer_that_stalls_is_wrong_within_its_limit(scheme: str, handle: Callable[[socket.socket], None]) -> None:
    with serving(handle) as url:
        began = time.monotonic()
        assert is_wrong(look("TLS", redis_url=url.replace("redis:", f"{scheme}:"), step_seconds=STEP))
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_peer_that_says_nothing_is_wrong_within_its_limit(scheme: str) -> None:
    with silent_server() as url:
        began = time.monotonic()
        assert is_wrong(look("TLS", redis_url=url.replace("redis:", f"{scheme}:"), step_seconds=STEP), "in time")
    assert time.monotonic() - began < 20


def test_a_tls_server_that_says_nothing_is_wrong_within_its_limit(signed: Signed) -> None:
    with silent_server() as url, encrypted(url, signed) as port:
        assert is_wrong(look("TLS", redis_url=tls_url(port, signed.authority), step_seconds=STEP), "in time")
