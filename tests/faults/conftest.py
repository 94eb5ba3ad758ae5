"""What the fault tests have: servers, workers, callers, environments, and the line in which each tells its figures."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CLIENT_ID, POOL, MakeToken
from tests.faults.environment import Plan
from tests.faults.kit import FULL, Callers, Crew, Server
from tests.faults.run import Environment

Tell = Callable[[str], None]

#: Two processes send at a time: as many as the smallest machine that this runs on has cores.
ENVIRONMENTS = 2
CALLERS = ("alice", "bob", "carol", "dave")
#: The highest caps of bytes stored: here callers send for as long as a test lasts.
MOST_BYTES = 2**40

MakePlans = Callable[..., list[Plan]]


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


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Environment]]:
    log = tmp_path_factory.mktemp("environments") / "log"
    environments = [Environment(log) for _ in range(ENVIRONMENTS)]
    yield environments
    for environment in environments:
        environment.close()


@pytest.fixture
def make_plans(tmp_path: Path, jwks: dict[str, Any], make_token: MakeToken) -> MakePlans:
    """One plan for each environment: limits so wide that nobody meets them, unless variables say otherwise."""

    def make(redis_url: str, variables: dict[str, str] | None = None, **options: Any) -> list[Plan]:
        environ = {
            "COGNITO_USER_POOL_ID": POOL,
            "COGNITO_AUD": CLIENT_ID,
            "COGNITO_REGION": "eu-central-1",
            "COGNITO_JWKS": json.dumps(jwks),
            "REDIS_URL": redis_url,
            "ROUTER_RATE_PER_MINUTE": "100000",
            "ROUTER_RATE_BURST": "100000",
            "ROUTER_OPEN_JOBS_CAP": "1000000",
            "ROUTER_QUEUE_CAP": "10000000",
            "ROUTER_CALLER_BYTES_CAP": str(MOST_BYTES),
            "ROUTER_QUEUE_BYTES_CAP": str(MOST_BYTES),
        }
        tokens = [make_token(caller) for caller in CALLERS]
        stage = options.pop("stage", "run")
        names = [f"{stage}-{number}" for number in range(ENVIRONMENTS)]
        return [
            Plan(name, environ | (variables or {}), tokens, str(tmp_path / f"{name}.jsonl"), **options)
            for name in names
        ]

    return make
