"""AWS for the programs here: one region, little patience. ``AWS_ENDPOINT_URL`` and profiles are boto3's own affair."""

import shlex
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

_CONNECT_SECONDS, _READ_SECONDS = 5, 30


@cache
def client(service: str, region: str) -> Any:
    """A client of that service; no request is made before its first call."""
    config = Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries={"mode": "standard"})
    # A session of its own: boto3's default one keeps the credentials that it met first for the life of the process.
    return boto3.Session().client(service, region_name=region, config=config)


def command(action: str, region: str, **options: str | bool) -> str:
    """A line for a shell with the AWS CLI: ``command("lambda get-alias", "eu-central-1", name="live")``.

    An option whose value is True takes none.
    """
    words = ["aws", *action.split()]
    for name, value in (options | {"region": region}).items():
        words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return shlex.join(words)
