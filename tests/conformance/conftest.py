"""The subjects, and what each test gets to judge them by.

``WORKER="command" pytest tests/conformance -m ""`` judges one command by every test; without ``WORKER``, our worker and
the one of plain commands are judged.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests import servers
from tests.conformance.kit import OURS, PLAIN, Bench, NewBench
from tests.conformance.model_server import ScriptedModel, serving

_GIVEN = os.environ.get("WORKER")  # noqa: TID251 (the command to judge)
SUBJECTS = {"given": _GIVEN} if _GIVEN else {"ours": OURS, "plain": PLAIN}


@pytest.fixture(scope="module", params=SUBJECTS.values(), ids=SUBJECTS)
def command(request: pytest.FixtureRequest) -> str:
    """The worker command to judge."""
    return str(request.param)


@pytest.fixture(scope="session")
def model() -> Iterator[ScriptedModel]:
    with serving() as model:
        yield model


@pytest.fixture(scope="session")
def shared_url() -> Iterator[str]:
    """A Valkey for this suite alone: its workers outlive tests."""
    with servers.valkey() as server:
        yield f"redis://{server.host}:{server.port}/0"


@pytest.fixture(scope="module")
def new_bench(
    shared_url: str, model: ScriptedModel, command: str, tmp_path_factory: pytest.TempPathFactory
) -> NewBench:
    """Makes queues without workers, for the command to be judged."""

    @contextmanager
    def make() -> Iterator[Bench]:
        bench = Bench(shared_url, model, command, tmp_path_factory.mktemp("bench") / "worker.log")
        try:
            yield bench
        finally:
            bench.close()

    return make


@pytest.fixture
def bench(new_bench: NewBench) -> Iterator[Bench]:
    """A queue without workers."""
    with new_bench() as bench:
        yield bench
