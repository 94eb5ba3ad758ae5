"""The suite of the queue: both sides of it, without HTTP, on every engine there is."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from copy import replace
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chalicelib.api.body import parse_job
from chalicelib.jobs.admission import Admission, Caller, NewJob, Submission
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.job_types import JOB_TYPES
from chalicelib.jobs.redis_client import RedisClient, connect
from lambda_router_queue.models import Envelope, Job
from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_worker.cli import main
from lambda_router_worker.operations.dead_letters import DeadLetter
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.queue import connection
from lambda_router_worker.queue.work_queue import Claim, Lease, WorkQueue
from tests import servers
from tests.job_ids import any_job_id
from tests.wide import WIDE

QUEUE = QueueKeys("tinyllama")


#: Engines of every run, and Debian's.
ALL_ENGINES = [*servers.ENGINES, *(pytest.param(name, marks=pytest.mark.engines) for name in servers.DEBIAN_ENGINES)]


@pytest.fixture(scope="session", params=ALL_ENGINES)
def engine_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with servers.engine(request.param) as url:
        yield url


@pytest.fixture
def db(engine_url: str) -> Iterator[Any]:
    """An empty database, by plain commands."""
    client: Any = servers.client_of(engine_url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def queue(db: Any, engine_url: str) -> "Callers":
    # More patient than the function: these tests are about scripts, and a busy machine is slow to start a client.
    redis = RedisClient(partial(connect, engine_url, 5.0), 10.0)
    return Callers(JobQueue(redis, WIDE, [QUEUE.queue]))


@dataclass
class Callers:
    """The callers' side: submits and looks as the routes do."""

    side: JobQueue

    def under(self, **changes: Any) -> "Callers":
        """The same queue under another policy."""
        return Callers(JobQueue(self.side._redis, replace(WIDE, **changes), [QUEUE.queue]))

    def send(self, owner: str = "alice", count: int = 1, key: str | None = None, **body: Any) -> Admission:
        """Submit ``count`` jobs in one step."""
        raw = json.dumps({"type": "generate", "input": {"prompt": "hello"}} | body).encode()
        parsed = parse_job(raw, "application/json", JOB_TYPES)
        jobs = [NewJob(any_job_id(), parsed.request, parsed.job_type, key) for _ in range(count)]
        return self.submit(jobs, owner)

    def submit(self, jobs: list[NewJob], owner: str = "alice") -> Admission:
        return self.side.submit(Submission(jobs, self.side.keys(QUEUE.queue), Caller(owner, "request-1", "00-a-b-01")))

    def send_one(self, owner: str = "alice", **body: Any) -> str:
        """Submit one job, which must be accepted; its id."""
        (decision,) = self.send(owner, **body).decisions
        assert decision.verdict == "accepted"
        return decision.job_id

    def look(self, job_id: str, owner: str = "alice") -> Job:
        job = self.side.look(owner, job_id)
        assert job is not None
        return job

    def cancel(self, job_id: str, owner: str = "alice") -> Job:
        job = self.side.cancel(owner, job_id)
        assert job is not None
        return job


@dataclass
class Hand:
    """A worker's side by hand: one step at a time, and it may be slow, paused or dead."""

    queue: WorkQueue
    run: Callable[[Awaitable[Any]], Any]

    def claim(self, count: int = 1) -> list[Claim]:
        return self.run(self.queue.claim(count))

    def claim_one(self) -> Claim:
        (claim,) = self.claim(1)
        return claim

    def start(self, claim: Claim, nonce: str = "") -> Lease | str:
        return self.run(self.queue.start(claim, self.job(claim).owner, nonce))

    def begin(self) -> Lease:
        """Claim one job and start it."""
        lease = self.start(self.claim_one())
        assert isinstance(lease, Lease)
        return lease

    def job(self, claim: Claim) -> Envelope:
        return Envelope.model_validate_json(claim.envelope)

    def call(self, name: str, *args: Any, **named: Any) -> Any:
        return self.run(getattr(self.queue, name)(*args, **named))


class Operator:
    """Looked at the dead letter of one job, and acts later."""

    def __init__(self, hand: Hand, job_id: str) -> None:
        self._run, self._operations = hand.run, Operations(hand.queue._redis, QUEUE.queue)
        letter = hand.run(self._operations.letter(job_id))
        assert isinstance(letter, DeadLetter)
        self._letter = letter

    def retry(self) -> str:
        return str(self._run(self._operations.retry(self._letter)))

    def discard(self) -> bool:
        return bool(self._run(self._operations.discard(self._letter)))


@pytest.fixture
def hands(db: Any, engine_url: str) -> Iterator[Callable[..., Hand]]:
    """Makes workers; ``hands(lease_ms=50)`` makes one whose leases are short."""
    clients = []
    with asyncio.Runner() as runner:

        def make(name: str = "worker-1", **options: Any) -> Hand:
            client = connection.connect(engine_url, 20.0)  # patient, as the callers above
            clients.append(client)
            hand = Hand(WorkQueue(client, QUEUE.queue, name, **options), runner.run)
            hand.call("prepare")
            return hand

        yield make
        for client in clients:
            runner.run(client.aclose())


@pytest.fixture
def hand(hands: Callable[..., Hand]) -> Hand:
    return hands()


@pytest.fixture
def command(engine_url: str) -> Callable[..., Result]:
    """Runs a command line as an operator does."""

    def run(*words: str, url: str = engine_url) -> Result:
        return CliRunner().invoke(main, list(words), env={"REDIS_URL": url})

    return run
