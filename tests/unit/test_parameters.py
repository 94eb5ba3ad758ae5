"""chalicelib.parameters: values from SSM Parameter Store, as moto plays it."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib.parameters import ParameterUnavailable, fetch_parameter
from lambda_router_queue.deadlines import QUESTION_SECONDS
from tests.kms import take_role

NAME = "/lambda-router/prod/redis-url"
SECRET = "rediss://router:hunter2@cache:6379/0"


@pytest.fixture(autouse=True)
def role(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Lambda gives a function; nothing of the machine that runs the tests."""
    take_role(monkeypatch)


@pytest.fixture
def ssm() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("ssm")


def test_a_secure_string_is_read_in_the_clear(ssm: Any):
    ssm.put_parameter(Name=NAME, Value=SECRET, Type="SecureString")
    assert ssm.get_parameter(Name=NAME)["Parameter"]["Value"] != SECRET
    assert fetch_parameter("REDIS_URL_PARAMETER", NAME) == SECRET


def test_a_plain_string_is_read_too(ssm: Any):
    ssm.put_parameter(Name=NAME, Value=SECRET, Type="String")
    assert fetch_parameter("REDIS_URL_PARAMETER", NAME) == SECRET


def test_the_newest_version_is_read(ssm: Any):
    ssm.put_parameter(Name=NAME, Value="redis://old", Type="SecureString")
    ssm.put_parameter(Name=NAME, Value=SECRET, Type="SecureString", Overwrite=True)
    assert fetch_parameter("REDIS_URL_PARAMETER", NAME) == SECRET


def refusal(name: str) -> str:
    with pytest.raises(ParameterUnavailable) as refused:
        fetch_parameter("REDIS_URL_PARAMETER", name)
    return str(refused.value)


def test_a_parameter_that_does_not_exist_is_named_with_the_fix(ssm: Any):
    message = refusal("/lambda-router/prod/nothing")
    assert "REDIS_URL_PARAMETER: the SSM parameter '/lambda-router/prod/nothing' cannot be read" in message
    assert "(ParameterNotFound)" in message
    assert "ssm:GetParameter" in message
    assert "kms:Decrypt" in message


def test_a_missing_region_is_named(ssm: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert "(NoRegionError)" in refusal(NAME)


def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "(NoCredentialsError)" in refusal(NAME)


def test_an_endpoint_that_refuses_the_connection_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert "(EndpointConnectionError)" in refusal(NAME)


def test_an_endpoint_that_never_answers_is_given_up_on_before_lambda_runs_out_of_time(monkeypatch: pytest.MonkeyPatch):
    """As in a VPC without a way to SSM: the caller gets a 500 with our own explanation in the log, not a 504."""
    with socket.create_server(("127.0.0.1", 0)) as mute, ThreadPoolExecutor(1) as pool:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", f"http://127.0.0.1:{mute.getsockname()[1]}")
        message = pool.submit(refusal, NAME)
        try:
            said = message.result(timeout=QUESTION_SECONDS + 3)  # boto3's import is no question's time
            assert "(ReadTimeoutError)" in said or "(no answer in time)" in said
        finally:
            mute.close()
