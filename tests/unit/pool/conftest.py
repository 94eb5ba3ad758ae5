"""The local pool without a server."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.unit.pool.signing_in import LocalPool
from tools.local.pool.tokens import SigningKey


@pytest.fixture
def pool(tmp_path: Path, signing_key: rsa.RSAPrivateKey) -> LocalPool:
    return LocalPool(tmp_path, SigningKey(signing_key))
