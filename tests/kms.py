"""A role in AWS, and KMS, played by moto on loopback for the processes that a test starts, too."""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.servers import free_port

#: All that boto3 may read of the machine that runs the tests.
ROLE = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def take_role(monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    """Sets the variables of the role, and has boto3 forget those that it was sent elsewhere with."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name in ("AWS_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (ROLE | more).items():
        monkeypatch.setenv(name, value)


@dataclass
class KeyService:
    """KMS and one key in it.

    Attributes:
        arn: the key's.
        variables: with which a process finds it.
    """

    port: int
    arn: str
    variables: dict[str, str]
    server: ThreadedMotoServer

    def new_key(self) -> str:
        """ARN of one more key."""
        return _new_key(self.variables["AWS_ENDPOINT_URL_KMS"])

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nobody listens meanwhile; moto keeps its keys."""
        self.server.stop()
        try:
            yield
        finally:
            self.server = _serve(self.port)


@contextmanager
def key_service() -> Iterator[KeyService]:
    """KMS with one key, reached over HTTP."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = _serve(port)
    service = KeyService(port, _new_key(url), ROLE | {"AWS_ENDPOINT_URL_KMS": url}, server)
    try:
        yield service
    finally:
        service.server.stop()


def _serve(port: int) -> ThreadedMotoServer:
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    return server


def _new_key(url: str) -> str:
    credentials = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("kms", endpoint_url=url, region_name=ROLE["AWS_DEFAULT_REGION"], **credentials)
    return str(client.create_key()["KeyMetadata"]["Arn"])


def forms_of(text: str) -> Iterator[re.Pattern[bytes]]:
    """How a text of Redis might hold another one: as it is, in JSON's escapes, in hexadecimal, in base64."""
    raw = text.encode()
    escaped = text.encode("ascii", "backslashreplace")
    middle = (base64.b64encode(b"\0" * shift + raw)[4:-4] for shift in range(3))
    for form in (raw, escaped, raw.hex().encode(), *middle):
        yield re.compile(re.escape(form).replace(rb"\+", rb"[+-]").replace(b"/", b"[/_]"), re.IGNORECASE)
