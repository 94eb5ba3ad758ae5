"""Servers, workers and callers for the fault tests, and the line in which each tells its figures."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.kit import FULL, Callers, Crew, Server

Tell = Callable[[str], None]


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Writes a line of figures among pytest's own, so that a full run is its own record."""
    plugins = request.config.pluginmanager
    reporter, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")
    run = "full" if FULL else "smoke"

    def write(line: str) -> None:
        if reporter is not None and capture is not None:
            with capture.global_and_fixture_disabled():
                reporter.ensure_newline()
                reporter.write_line(f"{run} | {line}")

    return write


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A Valkey with an append-only file; a parameter says when it is synced."""
    server = Server(tmp_path / "valkey", getattr(request, "param", "everysec"))
    yield server
    server.close()


@pytest.fixture
def callers(server: Server) -> Iterator[Callers]:
    callers = Callers(server.url)
    yield callers
    callers.close()


@pytest.fixture
def crew(server: Server, tmp_path: Path) -> Iterator[Crew]:
    """No workers yet."""
    crew = Crew(server.url, tmp_path)
    yield crew
    crew.close()
