"""What several unit tests share: the log as JSON, a forge of tokens and its verifier."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import settings

from chalicelib.callers.app_clients import AppClients
from chalicelib.callers.auth import TokenVerifier
from chalicelib.callers.jwks import StaticKeys
from chalicelib.observability import log
from tests.conftest import CLIENT_ID, ISSUER
from tests.unit.forge import NOW, Forge

# A slow machine is no finding.
# The same examples in every run: what is red once is red again.
settings.register_profile("unit", deadline=None, derandomize=True)
settings.load_profile("unit")


@pytest.fixture
def log_lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the logger has written since the test began, line by line."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(log.registered_formatter)
    log.addHandler(handler)
    try:
        yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    finally:
        log.removeHandler(handler)
        log.setLevel("INFO")


@pytest.fixture(scope="session")
def forge(signing_key: rsa.RSAPrivateKey) -> Forge:
    return Forge(signing_key)


@pytest.fixture(scope="session")
def verifier(jwks: dict[str, Any]) -> TokenVerifier:
    """Knows the key of ``forge``; its clock stands still."""
    keys = StaticKeys(json.dumps(jwks).encode())
    return TokenVerifier(keys, issuers=[ISSUER], clients=AppClients([CLIENT_ID]), leeway_seconds=10, clock=lambda: NOW)
