"""AWS for the programs here: one region, little patience. ``AWS_ENDPOINT_URL`` and profiles are boto3's own affair."""

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

_CONNECT_SECONDS, _READ_SECONDS = 5, 30


@cache
def client(service: str, region: str) -> Any:
    """A client of that service; no request is made before its first call."""
    config = Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries={"mode": "standard"})
    return boto3.client(service, region_name=region, config=config)
