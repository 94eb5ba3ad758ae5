"""A Valkey whose clock the tests move."""

import shutil
from collections.abc import Iterator

import pytest

from tests.model.server import Server, moved_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler (cc) to build the clock with")
    with moved_server() as server:
        yield server
