"""Validators of single settings: each returns its value, or raises an error that says what it must be."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from chalicelib.partitions import partition_of
from lambda_router_queue.queue_keys import QUEUE_PATTERN
from lambda_router_queue.redis.url import check_redis_url

#: Names of models, such as ``TinyLlama/TinyLlama-1.1B-Chat-v1.0`` and ``llama3.2:1b``.
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,127}", re.ASCII)

#: Names of SSM parameters.
PARAMETER_PATTERN = r"^/?[\w./-]+$"

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def split_commas(value: Any) -> Any:
    """Split a text at its commas; return any other value unchanged."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def queues_by_model(value: Any) -> Any:
    """Parse ``name`` or ``name=queue``, separated by commas; the queue is empty where none is named."""
    if not isinstance(value, str):
        return value
    queues: dict[str, str] = {}
    for part in split_commas(value):
        name, equals, queue = part.partition("=")
        if not _MODEL.fullmatch(name) or (equals and not re.fullmatch(QUEUE_PATTERN, queue)):
            raise ValueError(
                f"{part!r} is no model: write name or name=queue; a name has letters, digits and ._/:@+-, a queue"
                " lower-case letters, digits and -"
            )
        if name in queues:
            raise ValueError(f"the model {name!r} is named twice")
        queues[name] = queue
    return queues


def has_user_pools(pool_id: str) -> str:
    partition_of(pool_id)
    return pool_id


def is_redis_url(value: SecretStr) -> SecretStr:
    return SecretStr(check_redis_url(value.get_secret_value()))


def is_https(value: str) -> str:
    if not _is_usable(value):
        raise ValueError("must be an https URL (http only on this machine's loopback)")
    return value


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        schemes = ("https", "http") if parts.hostname in LOOPBACK_HOSTS else ("https",)
        return bool(parts.hostname) and parts.port != 0 and parts.scheme in schemes
    except ValueError:
        return False


def is_key_source(value: str) -> str:
    """Accept an https URL, a JWKS as JSON text, or the path of a file that contains one."""
    if value.lstrip().startswith("{"):
        try:
            json.loads(value)
        except ValueError as error:
            raise ValueError(f"starts with '{{' but is not JSON: {error}") from None
    elif "://" in value:
        is_https(value)
    return value


def is_origin(value: str) -> str:
    parts = urlsplit(value)
    if value != "*" and (parts.scheme not in {"http", "https"} or not parts.netloc or parts.path):
        raise ValueError("must be '*' or origins such as https://app.example.com, without a path")
    return value


def is_https_origin(value: str) -> str:
    """Accept an https origin, http on loopback. It is written into a response header, so nothing else may be in it."""
    is_https(value)
    if not re.fullmatch(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?", value, re.ASCII):
        raise ValueError("must be an origin in lower case, without a path or a '/' at the end")
    return value


def is_host(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", value, re.ASCII):
        raise ValueError("must be names of hosts in lower case, such as images.example.com")
    return value


def are_origins(values: tuple[str, ...]) -> tuple[str, ...]:
    if "*" in values and len(values) > 1:
        raise ValueError("must be '*' alone or origins without it: '*' is every origin")
    return values
