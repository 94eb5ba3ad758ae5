"""chalicelib.wiring: the parts are built once, and what is missing is told to the log alone."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib import wiring
from chalicelib.callers.jwks import BadKeySet, RemoteKeys, StaticKeys
from chalicelib.errors import Misconfigured
from chalicelib.parameters import ParameterUnavailable
from chalicelib.settings import SettingsError
from chalicelib.wiring import Services
from lambda_router_queue.models import JobRequest
from tests.conftest import MakeToken, Router

type LogLines = Callable[[], list[dict[str, Any]]]
type SetVariables = Callable[..., None]

PARAMETER = "/lambda-router/test/redis-url"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """A process that has built nothing yet."""
    nothing: Any = None
    with wiring.use(nothing):
        yield


@pytest.fixture
def variables(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> SetVariables:
    """Sets the variables of a working function with these changes; None removes one."""

    #: What steers the tests themselves would be a stray variable to the function.
    unset = dict.fromkeys(("ROUTER_CORPORA", "ROUTER_FAULTS"))

    def set_variables(**changes: str | None) -> None:
        for name, value in (unset | environ | changes).items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)

    return set_variables


@pytest.fixture
def caller(make_token: MakeToken) -> Router:
    """Meets whatever this process has built, or builds when it is first called."""
    return Router(make_token())


def test_the_parts_are_built_from_the_environment(variables: SetVariables):
    variables(ROUTER_QUEUE="other", ROUTER_RATE_PER_MINUTE="7")
    parts = wiring.services()
    assert parts.settings.router_queue == "other"
    assert parts.rate.per_minute == 7
    request = JobRequest(type="chat", input=None)
    assert {parts.queue_of(job_type, request).queue for job_type in parts.job_types.values()} == {"other"}


def test_the_parts_are_built_once_even_when_many_ask_at_once(variables: SetVariables):
    variables()
    together = threading.Barrier(16)

    def ask(_: int) -> Services:
        together.wait()
        return wiring.services()

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, range(16)))
    assert len({id(parts) for parts in found}) == 1


def test_a_variable_changed_later_changes_nothing(variables: SetVariables):
    variables()
    before = wiring.services()
    variables(ROUTER_QUEUE="other")
    assert wiring.services() is before


def test_parts_handed_in_are_used_and_given_back(variables: SetVariables, services: Services):
    variables()
    own = wiring.services()
    with wiring.use(services):
        assert wiring.services() is services
    assert wiring.services() is own


def test_parts_are_given_back_after_an_error(variables: SetVariables, services: Services):
    variables()
    own = wiring.services()
    with pytest.raises(RuntimeError), wiring.use(services):
        raise RuntimeError
    assert wiring.services() is own


def test_building_opens_no_connection(environ: dict[str, str]):
    assert wiring.build(environ | {"REDIS_URL": "redis://192.0.2.1:6379/0"})
    parts = wiring.build(environ | {"COGNITO_JWKS": "https://192.0.2.1/jwks.json"})
    assert isinstance(parts.keys, RemoteKeys)
    assert isinstance(wiring.build(environ).keys, StaticKeys)


def test_the_log_level_is_that_of_the_settings(variables: SetVariables, log_lines: LogLines, caller: Router):
    variables(ROUTER_LOG_LEVEL="ERROR")
    assert caller.get("/v1/jobs").status == 200
    assert log_lines() == []


FAULTS: dict[str, dict[str, str | None]] = {
    "COGNITO_AUD": {"COGNITO_AUD": None},
    "COGNITO_USER_POOL_ID": {"COGNITO_USER_POOL_ID": "nonsense"},
    "REDIS_URL": {"REDIS_URL": "http://hunter2@example.com"},
    "REDIS_URL_PARAMETER": {"REDIS_URL": None},
    "ROUTER_RATE_BURST": {"ROUTER_RATE_BURST": "many"},
    "ROUTER_QUEUES": {"ROUTER_QUEUES": "a,b"},
}
KEY_FAULTS: dict[str, str] = {
    "an empty key set": '{"keys": []}',
    "a private key": '{"keys": [{"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB", "d": "hunter2"}]}',
    "no JSON": "{hunter2",
    "a file that is not there": "/nowhere/jwks.json",
}
every_fault = pytest.mark.parametrize(
    ("variable", "changes"),
    [
        *(pytest.param(name, changes, id=name) for name, changes in FAULTS.items()),
        *(
            pytest.param("COGNITO_JWKS", {"COGNITO_JWKS": text}, id=f"COGNITO_JWKS: {name}")
            for name, text in KEY_FAULTS.items()
        ),
    ],
)


@every_fault
def test_what_is_wrong_is_named_in_the_log_and_not_in_the_answer(
    variable: str,
    changes: dict[str, str | None],
    variables: SetVariables,
    caller: Router,
    log_lines: LogLines,
):
    variables(**changes)
    reply = caller.get("/v1/jobs")
    assert reply.status == 500
    assert reply.json["type"] == Misconfigured.uri()
    assert variable not in reply.body
    explained, line = log_lines()
    assert explained["level"] == "ERROR"
    assert explained["message"] == "misconfigured"
    assert variable in explained["explanation"]
    assert line["problem"] == "misconfigured"


def test_a_function_that_is_not_set_up_still_says_that_it_is_alive(variables: SetVariables):
    variables(COGNITO_AUD=None)
    router = Router(None)
    assert router.get("/health").status == 200
    assert router.get("/ready").status == 500


def test_a_function_that_is_set_up_later_recovers_by_itself(variables: SetVariables):
    variables(COGNITO_AUD=None)
    with pytest.raises(Misconfigured):
        wiring.services()
    variables()
    assert wiring.services()


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"COGNITO_AUD": ""}, SettingsError), ({"COGNITO_JWKS": "{}"}, BadKeySet)],
    ids=["a setting", "the keys"],
)
def test_building_says_what_is_wrong_by_type(changes: dict[str, str], error: type[Exception], environ: dict[str, str]):
    with pytest.raises(error):
        wiring.build(environ | changes)


@pytest.fixture
def ssm(variables: SetVariables, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Parameter Store as moto plays it, where the variables say that the Redis URL is."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    variables(REDIS_URL=None, REDIS_URL_PARAMETER=PARAMETER)
    with mock_aws():
        yield boto3.client("ssm")


def store(ssm: Any, value: str) -> None:
    ssm.put_parameter(Name=PARAMETER, Value=value, Type="SecureString")


def test_a_redis_url_from_ssm_is_the_one_that_is_used(
    ssm: Any, environ: dict[str, str], caller: Router, generate: dict[str, Any]
):
    store(ssm, environ["REDIS_URL"])
    accepted = caller.post("/v1/jobs", generate)
    assert accepted.status == 202
    assert caller.get(f"/v1/jobs/{accepted.json['id']}").json["status"] == "queued"


def test_a_redis_url_from_ssm_is_read_once_in_the_life_of_a_process(ssm: Any, environ: dict[str, str], caller: Router):
    store(ssm, environ["REDIS_URL"])
    assert caller.get("/v1/jobs").status == 200
    ssm.delete_parameter(Name=PARAMETER)
    assert [caller.get("/v1/jobs").status for _ in range(3)] == [200, 200, 200]


def test_a_redis_url_from_ssm_is_never_logged(
    ssm: Any, environ: dict[str, str], caller: Router, log_lines: LogLines, capfd: pytest.CaptureFixture[str]
):
    """Nor when the server does not take its password."""
    store(ssm, environ["REDIS_URL"].replace("redis://", "redis://router:hunter2@"))
    reply = caller.get("/v1/jobs")
    assert reply.status == 503
    written = f"{json.dumps(log_lines())}{capfd.readouterr()}{reply.body}{wiring.services()!r}"
    assert "queue-unavailable" in written
    assert "hunter2" not in written


def test_a_parameter_that_is_not_there_is_named_in_the_log(ssm: Any, caller: Router, log_lines: LogLines):
    assert caller.get("/v1/jobs").status == 500
    explanation = log_lines()[0]["explanation"]
    assert "REDIS_URL_PARAMETER" in explanation
    assert PARAMETER in explanation
    store(ssm, "redis://127.0.0.1:6379")
    assert wiring.services()


@pytest.mark.parametrize(
    "value",
    [
        "hunter2",
        "http://hunter2@example.com",
        "redis://user:hunter2#x@host:6379",
        "redis://user:x#hunter2@host",
        "redis://host/0?socket_timeout=hunter2",
        " ",
    ],
)
def test_a_parameter_that_holds_no_redis_url_is_misconfigured_and_not_shown(
    value: str, ssm: Any, caller: Router, log_lines: LogLines, capfd: pytest.CaptureFixture[str]
):
    store(ssm, value)
    reply = caller.get("/v1/jobs")
    assert reply.json["type"] == Misconfigured.uri()
    written = f"{json.dumps(log_lines())}{capfd.readouterr()}{reply.body}"
    assert "REDIS_URL_PARAMETER" in written
    assert "hunter2" not in written


def test_building_without_the_parameter_is_told_by_type(ssm: Any, environ: dict[str, str]):
    with pytest.raises(ParameterUnavailable, match="REDIS_URL_PARAMETER"):
        wiring.build(environ | {"REDIS_URL": "", "REDIS_URL_PARAMETER": PARAMETER})
