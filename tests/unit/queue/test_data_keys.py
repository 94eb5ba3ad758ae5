"""lambda_router_queue.encryption.data_keys: data keys from KMS, as moto plays it, and how long they are kept."""

import socket
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lambda_router_queue.encryption import data_keys
from lambda_router_queue.encryption.data_keys import DataKeys, KeyRefused, KeyUnavailable
from tests.kms import take_role


@pytest.fixture(autouse=True)
def role(monkeypatch: pytest.MonkeyPatch) -> None:
    take_role(monkeypatch)


@pytest.fixture
def kms() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("kms")


@pytest.fixture
def arn(kms: Any) -> str:
    return str(kms.create_key()["KeyMetadata"]["Arn"])


class Counting:
    """KMS, and which operations it was asked for."""

    def __init__(self, kms: Any) -> None:
        self._kms = kms
        self.asked: list[str] = []

    def __getattr__(self, operation: str) -> Any:
        self.asked.append(operation)
        return getattr(self._kms, operation)


class Refusing:
    """KMS that answers with one error."""

    def __init__(self, code: str) -> None:
        self._code = code

    def _refuse(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": self._code, "Message": "no"}}, "any")

    decrypt = generate_data_key = _refuse


def test_a_data_key_has_256_bits_and_opens_again_in_another_process(kms: Any, arn: str):
    made = DataKeys(arn).current("tinyllama")

    assert len(made.plaintext) == 32
    assert DataKeys(arn).opened("tinyllama", made.encrypted) == made


def test_an_alias_names_the_key_too(kms: Any, arn: str):
    kms.create_alias(AliasName="alias/jobs", TargetKeyId=arn)
    made = DataKeys("alias/jobs").current("tinyllama")

    assert DataKeys(arn).opened("tinyllama", made.encrypted) == made


def test_a_data_key_of_one_queue_does_not_open_for_another(kms: Any, arn: str):
    made = DataKeys(arn).current("tinyllama")

    with pytest.raises(KeyRefused, match="InvalidCiphertextException"):
        DataKeys(arn).opened("llama-70b", made.encrypted)


def test_kms_is_asked_once_for_many_jobs(kms: Any, arn: str):
    counting = Counting(kms)
    keys = DataKeys(arn, lambda: counting)

    made = {keys.current("tinyllama").encrypted for _ in range(50)}
    opened = {keys.opened("tinyllama", next(iter(made))).encrypted for _ in range(50)}

    assert made == opened
    assert counting.asked == ["generate_data_key"]


def test_a_data_key_bears_so_many_jobs_and_no_more(kms: Any, arn: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(data_keys, "MAX_USES", 3)
    keys = DataKeys(arn)

    used = [keys.current("tinyllama").encrypted for _ in range(7)]

    assert [used.index(key) for key in used] == [0, 0, 0, 3, 3, 3, 6]


def test_a_data_key_is_used_for_five_minutes_and_no_longer(kms: Any, arn: str):
    now = [1_000.0]
    counting = Counting(kms)
    keys = DataKeys(arn, lambda: counting, lambda: now[0])
    first = keys.current("tinyllama")
    now[0] += 299
    assert keys.current("tinyllama") is first
    now[0] += 1

    assert keys.current("tinyllama").encrypted != first.encrypted
    assert keys.opened("tinyllama", first.encrypted) == first
    assert counting.asked == ["generate_data_key", "generate_data_key", "decrypt"]


def test_opened_keys_are_remembered_up_to_a_bound_the_newest_longest(kms: Any, arn: str, monkeypatch: Any):
    monkeypatch.setattr(data_keys, "MAX_OPENED", 2)
    sealed = [DataKeys(arn).current("tinyllama").encrypted for _ in range(3)]
    counting = Counting(kms)
    keys = DataKeys(arn, lambda: counting)

    for encrypted in (*sealed, sealed[2], sealed[1], sealed[0]):
        keys.opened("tinyllama", encrypted)

    assert counting.asked == ["decrypt"] * 4


def test_no_data_key_shows_itself(kms: Any, arn: str):
    keys = DataKeys(arn)
    made = keys.current("tinyllama")

    for shown in (repr(made), str(made), f"{keys!r}", repr(vars(keys))):
        assert made.plaintext.hex() not in shown
        assert repr(made.plaintext)[2:-1] not in shown


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "DisabledException", "NotFoundException", "ThrottlingException"]
)
def test_what_may_mend_is_told_apart_and_names_key_and_permission(code: str):
    keys = DataKeys("alias/jobs", lambda: Refusing(code))

    for ask in (lambda: keys.current("q"), lambda: keys.opened("q", b"x")):
        with pytest.raises(KeyUnavailable) as refused:
            ask()
        assert f"the KMS key 'alias/jobs' cannot be used ({code})" in str(refused.value)
        assert "kms:GenerateDataKey" in str(refused.value)


@pytest.mark.parametrize("code", ["InvalidCiphertextException", "IncorrectKeyException"])
def test_what_will_never_open_is_told_apart(code: str):
    with pytest.raises(KeyRefused, match=code):
        DataKeys("alias/jobs", lambda: Refusing(code)).opened("q", b"x")


def test_a_kms_that_never_answers_is_given_up_on_within_the_callers_patience(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", f"http://127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(KeyUnavailable, match="ReadTimeoutError"):
            DataKeys("alias/jobs").current("q")


def test_the_region_is_the_one_in_the_keys_arn(arn: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    assert DataKeys(arn).current("q").encrypted
    with pytest.raises(KeyUnavailable, match="NoRegionError"):
        DataKeys("alias/jobs").current("q")
