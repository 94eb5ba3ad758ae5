"""chalicelib.callers.jwks over HTTP: rotation, floods and outages, against a real server and a clock that we turn."""

import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from chalicelib.callers import jwks
from chalicelib.callers.jwks import RemoteKeys, fetch_jwks, parse_jwks, signing_keys
from chalicelib.errors import SigningKeysUnavailable
from chalicelib.limits import UNAVAILABLE_RETRY_SECONDS
from lambda_router_queue.deadlines import QUESTION_SECONDS
from tests.conftest import KID, public_jwk
from tests.tls import write_certificate
from tests.unit.issuer import BROKEN, SLOW, Handler, Issuer, Mode, flood, good, padded, serving

#: The whole fetch, with some room for a slow machine.
IN_ALL = QUESTION_SECONDS + 0.5


class Clock:
    """Shows what it is told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(signing_key: rsa.RSAPrivateKey) -> Iterator[Issuer]:
    state = Issuer([public_jwk(signing_key)])
    with serving(state) as state.url:
        yield state


@pytest.fixture
def keys(issuer: Issuer, clock: Clock) -> RemoteKeys:
    return RemoteKeys(f"{issuer.url}/jwks.json", clock=clock)


def test_keys_are_fetched_once_and_kept(issuer: Issuer, keys: RemoteKeys):
    assert issuer.fetches == []
    assert all(keys.key(KID) for _ in range(100))
    assert issuer.fetches == ["/jwks.json"]


def test_a_set_of_150_000_bytes_is_taken(issuer: Issuer, keys: RemoteKeys):
    issuer.mode = padded(150_000)
    assert keys.key(KID)


@pytest.mark.parametrize("mode", BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_refuses_no_good_token_while_keys_are_cached(
    mode: Mode, issuer: Issuer, keys: RemoteKeys, clock: Clock
):
    assert keys.key(KID)
    issuer.mode = mode
    for _ in range(30):  # ten minutes
        clock.now += 20
        assert keys.key(KID)
        assert keys.key("unknown") is None
    assert len(issuer.fetches) > 10
    assert set(issuer.fetches) == {"/jwks.json"}


@pytest.mark.parametrize("mode", BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_at_the_start_is_unavailable_and_recovers_soon(
    mode: Mode, issuer: Issuer, keys: RemoteKeys, clock: Clock
):
    issuer.mode = mode
    with pytest.raises(SigningKeysUnavailable) as refused:
        keys.key(KID)
    wait = int(refused.value.headers["Retry-After"])
    assert wait == UNAVAILABLE_RETRY_SECONDS
    assert refused.value.detail == "The signing keys could not be fetched; try again."
    issuer.mode = None
    clock.now += wait
    assert keys.key(KID)


@pytest.mark.parametrize("mode", SLOW.values(), ids=SLOW)
def test_a_slow_issuer_is_given_up_on_in_time(mode: Mode, issuer: Issuer):
    issuer.mode = mode
    with ThreadPoolExecutor(1) as pool:
        fetch = pool.submit(fetch_jwks, f"{issuer.url}/jwks.json")
        try:
            assert isinstance(fetch.exception(timeout=IN_ALL), OSError)
        finally:
            issuer.over.set()


def test_no_more_is_read_than_could_be_a_key_set(issuer: Issuer):
    issuer.mode = flood
    with pytest.raises(OSError, match=r"^the response is not a complete JWKS of an allowed size, in time$"):
        fetch_jwks(f"{issuer.url}/jwks.json")
    assert issuer.sent_bytes < 20_000_000  # the rest of it is in the buffers of two sockets


def test_an_answer_that_is_not_whole_is_said_to_be_so(issuer: Issuer):
    issuer.mode = BROKEN["a hung up line"]
    with pytest.raises(OSError, match=r"^the response is not complete$"):
        fetch_jwks(f"{issuer.url}/jwks.json")


def test_the_whole_url_is_asked_for(issuer: Issuer):
    assert signing_keys(f"{issuer.url}/pool/jwks.json?edition=2").key(KID)
    assert issuer.fetches == ["/pool/jwks.json?edition=2"]


def test_the_request_names_the_host_and_the_port(issuer: Issuer):
    named: list[str | None] = []

    def mode(handler: Handler) -> None:
        named.append(handler.headers["Host"])
        good(handler)

    issuer.mode = mode
    fetch_jwks(f"{issuer.url}/jwks.json")

    assert named == [issuer.url.removeprefix("http://")]


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://keys.example/jwks.json", ("keys.example", 80)),
        ("https://keys.example/jwks.json", ("keys.example", 443)),
        ("https://keys.example:8443/jwks.json", ("keys.example", 8443)),
        ("http:///jwks.json", ("", 80)),
    ],
)
def test_the_connection_goes_to_the_urls_host_and_port(url: str, wanted: tuple[str, int]):
    dialled: list[tuple[str, int]] = []

    def dial(host: str, port: int) -> socket.socket:
        dialled.append((host, port))
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        fetch_jwks(url, dial)

    assert dialled == [wanted]


def test_a_server_that_is_silent_in_the_tls_handshake_is_given_up_on_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        fetch = pool.submit(fetch_jwks, f"https://127.0.0.1:{silent.getsockname()[1]}/jwks.json")
        try:
            assert isinstance(fetch.exception(timeout=IN_ALL), OSError)
        finally:
            silent.accept()[0].close()  # ends a handshake that would last for ever


def test_an_https_url_is_fetched_over_tls_and_the_certificate_is_checked(
    signing_key: rsa.RSAPrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    certificate, key = write_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with serving(state := Issuer([public_jwk(signing_key)]), tls) as url:
        with pytest.raises(OSError, match="not complete") as refused:
            fetch_jwks(f"{url}/jwks.json")
        assert isinstance(refused.value.__cause__, ssl.SSLCertVerificationError)
        assert state.fetches == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert parse_jwks(fetch_jwks(f"{url}/jwks.json")).keys() == {KID}


def test_a_server_that_does_not_even_accept_is_given_up_on_in_time():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, ExitStack() as waiting:
        for _ in range(4):  # more than its queue holds: what comes after gets no answer
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())
        with ThreadPoolExecutor(1) as pool:
            fetch = pool.submit(fetch_jwks, f"http://127.0.0.1:{deaf.getsockname()[1]}/jwks.json")
            assert isinstance(fetch.exception(timeout=IN_ALL), TimeoutError)


def test_hanging_up_on_a_line_that_is_not_there_is_no_error():
    connection, late = HTTPConnection("127.0.0.1"), [threading.Event(), threading.Event()]
    jwks._hang_up(connection, late[0])  # it has no socket yet
    with socket.socket() as connection.sock:  # it has one that is not connected, so that it cannot be shut down
        jwks._hang_up(connection, late[1])
    assert all(event.is_set() for event in late)


def test_a_refused_connection_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    keys = RemoteKeys(f"http://127.0.0.1:{port}/jwks.json")
    with pytest.raises(SigningKeysUnavailable):
        keys.key(KID)


def test_a_cold_outage_does_not_hammer_the_issuer(issuer: Issuer, keys: RemoteKeys, clock: Clock):
    issuer.mode = BROKEN["500"]
    for _ in range(600):  # ten requests a second for a minute
        clock.now += 0.1
        with pytest.raises(SigningKeysUnavailable):
            keys.key(KID)
    assert len(issuer.fetches) <= 31


def test_a_rotation_is_taken_up_at_once_when_nothing_was_fetched_lately(issuer: Issuer, keys: RemoteKeys, clock: Clock):
    assert keys.key(KID)
    issuer.rotate("new")
    clock.now += 60
    assert keys.key("new")
    assert keys.key(KID) is None


def test_a_withdrawn_key_goes_within_an_hour(issuer: Issuer, keys: RemoteKeys, clock: Clock):
    assert keys.key(KID)
    issuer.rotate("new")
    clock.now += 3_600
    assert keys.key(KID)
    clock.now += 1
    assert keys.key(KID) is None


def test_old_keys_stay_in_use_while_the_issuer_is_down(issuer: Issuer, keys: RemoteKeys, clock: Clock):
    assert keys.key(KID)
    issuer.mode = BROKEN["500"]
    clock.now += 7 * 86_400
    assert keys.key(KID)


def test_a_flood_of_unknown_ids_costs_three_fetches_a_minute(issuer: Issuer, keys: RemoteKeys, clock: Clock):
    times: list[float] = []
    for number in range(10_000):
        clock.now += 120 / 10_000
        before = len(issuer.fetches)
        assert keys.key(f"unknown-{number}") is None
        times += [clock.now] * (len(issuer.fetches) - before)
    assert len(times) > 1
    assert all(sum(start <= at < start + 60 for at in times) <= 3 for start in times)


@pytest.mark.parametrize("answer", [BROKEN["500"], None], ids=["refuses", "has keys"])
def test_a_second_address_adds_nothing_to_what_a_flood_costs(
    answer: Mode, issuer: Issuer, second: Issuer, both: RemoteKeys, clock: Clock
):
    """And a rotation at the first address is still taken up within 30 seconds."""
    second.mode = answer
    times: list[float] = []
    rotated = taken_up = 0.0
    for number in range(10_000):
        clock.now += 120 / 10_000
        before = len(issuer.fetches) + len(second.fetches)
        assert both.key(f"unknown-{number}") is None
        times += [clock.now] * (len(issuer.fetches) + len(second.fetches) - before)
        if len(issuer.fetches) == 2 and not rotated:
            issuer.rotate("new")
            rotated = clock.now
        if rotated and not taken_up and both.key("new"):
            taken_up = clock.now
    assert all(sum(start <= at < start + 60 for at in times) <= 3 for start in times)
    assert len(second.fetches) > 1
    assert 0 < taken_up - rotated <= 30.1  # steps of the clock


def test_a_rotation_is_taken_up_within_30_seconds_of_a_flood(issuer: Issuer, keys: RemoteKeys, clock: Clock):
    """Even if it comes at the worst moment: just after a fetch that the flood has caused."""
    assert keys.key(KID)
    while len(issuer.fetches) < 3:
        clock.now += 0.5
        keys.key(f"unknown-{clock.now}")
    issuer.rotate("new")
    rotated = clock.now
    while keys.key("new") is None:
        clock.now += 0.5
        keys.key(f"unknown-{clock.now}")
        assert clock.now - rotated <= 30
    assert keys.key(KID) is None


def test_a_flood_during_an_outage_refuses_no_good_token(issuer: Issuer, keys: RemoteKeys, clock: Clock):
    assert keys.key(KID)
    issuer.mode = BROKEN["500"]
    for second in range(600):
        clock.now += 1
        assert keys.key(f"unknown-{second}") is None
        assert keys.key(KID)
    assert len(issuer.fetches) <= 1 + 3 * 10


@pytest.fixture
def second(issuer: Issuer) -> Iterator[Issuer]:
    """The pool's other issuer, with another key."""
    state = Issuer([issuer.keys[0] | {"kid": "second"}])
    with serving(state) as state.url:
        yield state


@pytest.fixture
def both(issuer: Issuer, second: Issuer, clock: Clock) -> RemoteKeys:
    return RemoteKeys(f"{issuer.url}/jwks.json", f"{second.url}/jwks.json", clock=clock)


def test_the_second_address_is_asked_only_for_a_key_that_the_first_lacks(
    issuer: Issuer, second: Issuer, both: RemoteKeys
):
    assert both.key("") is None  # as a cold start loads them
    assert both.key(KID)
    assert (len(issuer.fetches), len(second.fetches)) == (1, 0)


@pytest.mark.parametrize("mode", BROKEN.values(), ids=BROKEN)
def test_the_second_address_answers_where_the_first_does_not(mode: Mode, issuer: Issuer, both: RemoteKeys):
    issuer.mode = mode
    assert both.key("second")


def test_keys_of_both_addresses_stay_known_without_a_gap(
    issuer: Issuer, second: Issuer, both: RemoteKeys, clock: Clock
):
    assert both.key("second")
    assert both.key(KID)
    for _ in range(3):
        clock.now += 3_601
        assert both.key(KID)
        assert both.key("second")
    assert len(issuer.fetches) == len(second.fetches) == 4


def test_a_key_that_the_second_address_withdrew_goes_within_an_hour(second: Issuer, both: RemoteKeys, clock: Clock):
    assert both.key("second")
    second.rotate("new")
    clock.now += 3_601
    assert both.key("second") is None


@pytest.mark.parametrize("down", ["first", "second"])
def test_an_outage_of_one_address_refuses_no_good_token(
    down: str, issuer: Issuer, second: Issuer, both: RemoteKeys, clock: Clock
):
    assert both.key("second")
    (issuer if down == "first" else second).mode = BROKEN["500"]
    for step in range(100):
        clock.now += 100
        assert both.key(f"unknown-{step}") is None
        assert both.key(KID)
        assert both.key("second")


def test_every_address_is_asked_once_before_a_key_is_unknown(issuer: Issuer, second: Issuer, clock: Clock):
    urls = (f"{issuer.url}/jwks.json", f"{issuer.url}/other.json", f"{second.url}/jwks.json")
    keys = RemoteKeys(*urls, clock=clock)
    assert keys.key(KID)
    clock.now += 60
    assert keys.key("second")


def test_a_source_of_several_addresses_is_asked_at_each(second: Issuer):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert signing_keys(f"http://127.0.0.1:{port}/jwks.json", f"{second.url}/jwks.json").key("second")


def test_other_addresses_are_asked_one_a_minute_in_turn(issuer: Issuer, second: Issuer, clock: Clock):
    issuer_url = f"{issuer.url}/jwks.json"
    keys = RemoteKeys(issuer_url, f"{second.url}/b.json", f"{second.url}/a.json", clock=clock)
    keys.key(KID)
    keys.key("unknown")
    second.fetches.clear()
    for _ in range(4):
        clock.now += 60
        keys.key("unknown")

    assert second.fetches == ["/b.json", "/a.json", "/b.json", "/a.json"]


def test_callers_that_come_together_share_one_fetch(issuer: Issuer, second: Issuer, both: RemoteKeys):
    together = threading.Barrier(8)

    def ask(_: int) -> object:
        together.wait()
        return both.key(KID)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))
    assert (len(issuer.fetches), len(second.fetches)) == (1, 0)


def test_a_fetch_can_be_handed_in():
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        raise OSError

    with pytest.raises(SigningKeysUnavailable):
        RemoteKeys("https://example.com/jwks.json", fetch=fetch).key(KID)
    assert asked == ["https://example.com/jwks.json"]


def test_being_asked_whether_there_are_keys_fetches_none_and_resets_no_proof(
    issuer: Issuer, keys: RemoteKeys, clock: Clock
):
    key = keys.key(KID)
    for _ in range(20):  # ten minutes of GET /ready
        clock.now += 30
        keys.key("")
    assert issuer.fetches == ["/jwks.json"]
    assert keys.key(KID) is key


def test_an_unchanged_set_keeps_its_keys_however_often_unknown_ones_are_asked_for(
    issuer: Issuer, keys: RemoteKeys, clock: Clock
):
    key = keys.key(KID)
    for number in range(5):
        clock.now += 31
        assert keys.key(f"unknown-{number}") is None
    assert len(issuer.fetches) == 6
    assert keys.key(KID) is key
