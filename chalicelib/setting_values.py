"""Validators of single settings: each returns its value, or raises an error that says what it must be."""

import json
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from chalicelib.partitions import partition_of
from lambda_router_queue.redis.url import check_redis_url

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def split_commas(value: Any) -> Any:
    """Split a text at its commas; return any other value unchanged."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def has_user_pools(pool_id: str) -> str:
    partition_of(pool_id)
    return pool_id


def is_redis_url(value: SecretStr) -> SecretStr:
    check_redis_url(value.get_secret_value())
    return value


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


def are_origins(values: tuple[str, ...]) -> tuple[str, ...]:
    if "*" in values and len(values) > 1:
        raise ValueError("must be '*' alone or origins without it: '*' is every origin")
    return values
