"""AWS clients for these programs: one region, short timeouts. boto3 handles ``AWS_ENDPOINT_URL`` and profiles."""

import shlex
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

_CONNECT_SECONDS, _READ_SECONDS = 5, 30


@cache
def client(service: str, region: str) -> Any:
    """Return a client of that service; it makes no request before its first call."""
    config = Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries={"mode": "standard"})
    # A separate session: boto3's default session keeps its first credentials for the life of the process.
    return boto3.Session().client(service, region_name=region, config=config)


def command(action: str, region: str, **options: str | bool) -> str:
    """Return a shell command for the AWS CLI: ``command("lambda get-alias", "eu-central-1", name="live")``.

    An option with the value True is a flag.
    """
    words = ["aws", *action.split()]
    for name, value in (options | {"region": region}).items():
        words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return shlex.join(words)
