"""What the integration tests share: polling, a look at everything in Redis, jobs, a worker's hand."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from chalicelib.admission import Caller, NewJob, QueuePolicy, Submission
from chalicelib.job_queue import new_job_id
from chalicelib.job_types import JOB_TYPES
from chalicelib.limits import RatePolicy
from chalicelib.models import Envelope, Priority
from chalicelib.queue_keys import GROUP, LANES, QueueKeys
from tests.conftest import Reply, Router
from worker.connection import connect
from worker.consumer import Consumer
from worker.encryption import Encryption
from worker.handlers import Handler
from worker.job_run import JobRun
from worker.work_queue import Claim, Lease, WorkQueue

ROOT = Path(__file__).parents[2]
QUEUE = "tinyllama"
KEYS = QueueKeys(QUEUE)
WIDE = QueuePolicy(
    RatePolicy(60_000, 1_000),
    queue_cap=1_000,
    open_jobs_cap=1_000,
    store_result_seconds=600,
    idempotency_seconds=600,
)


def eventually(check: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true answer within that time, or the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(0.01)


async def soon(check: Callable[[], Any], seconds: float = 10.0) -> Any:
    """``eventually`` beside a running event loop."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer or time.monotonic() > deadline:
            return answer
        await asyncio.sleep(0.01)


def everything(db: Redis) -> dict[str, tuple[int, Any]]:
    """Every key with its expiry time and its whole value, for comparing before with after.

    What is about to vanish by itself is left out: the state of a rate so high that it says nothing for long.
    """
    with Redis.from_url(redis_url_of(db)) as raw:
        lasting = [key for key in raw.scan_iter() if raw.pttl(key) == -1 or raw.pttl(key) > 2_000]
        return {key.decode(): (raw.pexpiretime(key), _value(raw, key)) for key in lasting}


def _value(raw: Redis, key: bytes) -> Any:
    """A hash of some size is dumped in an order that changes by itself."""
    return raw.hgetall(key) if raw.type(key) == b"hash" else raw.dump(key)


def every_text(db: Redis) -> str:
    """All keys and values as one text to search in."""
    read: dict[str, Callable[[str], Any]] = {
        "string": db.get,
        "hash": db.hgetall,
        "zset": lambda key: db.zrange(key, 0, -1, withscores=True),
        "stream": db.xrange,
    }
    return "\n".join(f"{key} {read[db.type(key)](key)}" for key in db.scan_iter())


def lanes(priority: Priority = "normal", keys: QueueKeys = KEYS) -> list[str]:
    """The streams of one priority."""
    return [keys.stream(priority, lane) for lane in range(LANES)]


def entries(db: Redis, priority: Priority = "normal") -> list[tuple[str, dict[str, Any]]]:
    """Entry ids and envelopes of a priority's streams, in the order in which one caller sent them."""
    found = [entry for stream in lanes(priority) for entry in db.xrange(stream)]
    found.sort(key=lambda entry: int(entry[0].partition("-")[0]))  # lanes fill up in order within a millisecond
    return [(entry_id, json.loads(fields["job"])) for entry_id, fields in found]


def expire(db: Redis, location: str) -> None:
    """Let the job have waited past its deadline."""
    db.hset(KEYS.job(location.rpartition("/")[2]), "deadline_at", 1_700_000_000_000)


def stream_of(db: Redis, job_id: str) -> str:
    """The stream that the job's record names."""
    return KEYS.streams[int(str(db.hget(KEYS.job(job_id), "stream")))]


def stored_jobs(db: Redis) -> int:
    """Entries in all streams."""
    return sum(db.xlen(stream) for stream in KEYS.streams)


def pending(db: Redis) -> list[dict[str, Any]]:
    """Claimed entries of all streams: ``consumer``, ``times_delivered`` and so on."""
    streams = [stream for stream in KEYS.streams if db.exists(stream) and db.xinfo_groups(stream)]
    return [entry for stream in streams for entry in db.xpending_range(stream, GROUP, "-", "+", 100)]


def dead_letters(db: Redis) -> list[dict[str, str]]:
    """Jobs given up on, the oldest first."""
    return [fields for _, fields in db.xrange(KEYS.dead)]


def redis_url_of(db: Redis) -> str:
    where = db.connection_pool.connection_kwargs
    return f"redis://{where['host']}:{where['port']}/0"


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without the variables of the product, and with these."""
    ours = ("COGNITO_", "ROUTER_", "REDIS_", "WORKER_", "AWS_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}  # noqa: TID251
    return inherited | {"PYTHONPATH": str(ROOT)} | variables


# Answers and log lines

#: The contract: a caller learns within this time that Redis is away.
GIVE_UP_SECONDS = 2.0
QUEUE_FULL = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
QUEUE_UNAVAILABLE = "urn:problem-type:lambda-router:queue-unavailable"


def assert_unavailable(reply: Reply) -> None:
    assert reply.status == 503, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["retry-after"] == "2"
    assert reply.json["type"] == QUEUE_UNAVAILABLE
    assert "Idempotency-Key" in reply.json["detail"]


def assert_out_of_memory(reply: Reply) -> None:
    problem = assert_problem(reply, 503)
    assert problem["type"] == QUEUE_FULL
    assert problem["detail"] == "The queue's memory is full; nothing was stored."
    assert reply.headers["retry-after"] == "30"


def assert_problem(reply: Reply, status: int) -> dict[str, Any]:
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = reply.json
    assert problem["status"] == status
    assert problem["instance"] == reply.headers["x-request-id"]
    assert problem["type"]
    assert problem["title"]
    return problem


def ids(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.body
    return [job["id"] for job in reply.json["data"]]


def every_answer(router: Router, generate: dict[str, Any]) -> dict[str, Reply]:
    """An answer of every kind."""
    accepted = router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    location = accepted.headers["location"]
    read = router.get(location)
    return {
        "accepted": accepted,
        "read": read,
        "replayed": router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"}),
        "unchanged": router.get(location, headers={"If-None-Match": read.headers["etag"]}),
        "listed": router.get("/v1/jobs"),
        "cancelled": router.delete(location),
        "health": router.get("/health"),
        "ready": router.get("/ready"),
        "document": router.get("/openapi.json"),
        "malformed": router.post("/v1/jobs", b"{"),
        "no token": router.as_caller(None).get("/v1/jobs"),
        "unknown": router.get(f"/v1/jobs/{new_job_id()}"),
        "method": router.call("PUT", "/v1/jobs"),
        "media type": router.post("/v1/jobs", generate, headers={"Content-Type": "text/plain"}),
        "accept": router.get("/v1/jobs", headers={"Accept": "text/html"}),
        "invalid": router.post("/v1/jobs", {}),
        "nowhere": router.get("/nowhere"),
    }


def tracebacks(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The log lines that hold an exception."""
    return [line for line in lines if "exception" in line]


# Jobs of which the HTTP side has already made sure


def new_job(key: str | None = None, **changes: Any) -> NewJob:
    """A job; members of its request may be what no caller may send, such as a shorter ``ttl_seconds``."""
    job_type = JOB_TYPES["generate"]
    request = job_type.request_model.model_validate({"type": "generate", "input": {"prompt": "hello"}})
    return NewJob(new_job_id(), request.model_copy(update=changes), job_type, key)


def submission(*jobs: NewJob, owner: str = "owner-1") -> Submission:
    """Those jobs in one step."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    return Submission(jobs, KEYS, Caller(owner, "request-1", trace))


# A worker's hand


@asynccontextmanager
async def work_queue(
    redis_url: str, consumer: str = "worker-1", lease_ms: int = 30_000, *, prepare: bool = True
) -> AsyncIterator[WorkQueue]:
    """A worker's side of the queue, its consumer groups made."""
    async with aclosing(connect(redis_url)) as redis:
        queue = WorkQueue(redis, QUEUE, consumer, lease_ms)
        if prepare:
            await queue.prepare()
        yield queue


def job_in(claim: Claim) -> Envelope:
    return Envelope.model_validate_json(claim.envelope)


async def claim_one(queue: WorkQueue) -> Claim:
    [claim] = await queue.claim(1)
    return claim


async def start(queue: WorkQueue, claim: Claim) -> Lease | str:
    return await queue.start(claim, job_in(claim).owner)


async def start_one(queue: WorkQueue) -> Lease:
    lease = await start(queue, await claim_one(queue))
    assert isinstance(lease, Lease), lease
    return lease


def begin_job(redis_url: str) -> Lease:
    """Claim and start the next job, as a worker that then goes quiet."""

    async def begin() -> Lease:
        async with work_queue(redis_url) as queue:
            return await start_one(queue)

    return asyncio.run(begin())


def finish_begun(redis_url: str, lease: Lease) -> str:
    """Finish a job that was begun before."""

    async def finish() -> str:
        async with work_queue(redis_url, prepare=False) as queue:
            return await queue.complete(lease, '"done"')

    return asyncio.run(finish())


def finish_job(redis_url: str, *, result: Any = None, error: dict[str, str] | None = None) -> None:
    """Claim, start and finish the next job, as a worker would."""

    async def finish() -> str:
        async with work_queue(redis_url) as queue:
            lease = await start_one(queue)
            if error is not None:
                return await queue.fail(lease, json.dumps(error))
            return await queue.complete(lease, json.dumps(result))

    assert asyncio.run(finish()) == "done"


@dataclass(frozen=True)
class AtWork:
    """A consumer at work; ``stop`` is what a signal sets."""

    consumer: Consumer
    stop: asyncio.Event
    end: Callable[[], Awaitable[None]]


@asynccontextmanager
async def working(
    redis_url: str,
    handler: Handler,
    concurrency: int = 1,
    lease_ms: int = 30_000,
    name: str = "worker-1",
    encryption: Encryption | None = None,
    **how: Any,
) -> AsyncIterator[AtWork]:
    """A consumer at work, and the way to stop it and wait for its end. ``how`` is for ``Consumer``."""
    async with aclosing(connect(redis_url)) as redis:
        queue = WorkQueue(redis, QUEUE, name, lease_ms)
        consumer = Consumer(queue, JobRun(queue, handler, encryption), concurrency, **how)
        stop = asyncio.Event()
        run = asyncio.create_task(consumer.run(stop))

        async def end() -> None:
            stop.set()
            while not run.done():
                _wake_idle_workers(redis_url)
                await asyncio.wait([run], timeout=0.05)
            await run

        try:
            yield AtWork(consumer, stop, end)
        finally:
            await end()


def _wake_idle_workers(redis_url: str) -> None:
    """End the wait of every blocked client, so that no test waits it out."""
    with contextlib.suppress(RedisError), Redis.from_url(redis_url, socket_timeout=1) as db:
        for client in db.client_list(_type="normal"):
            if "b" in client["flags"]:
                db.client_unblock(int(client["id"]))
