"""Records that somebody overwrote: no other job of anybody's suffers from it, and no worker."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from lambda_router_worker.queue.work_queue import Lease, WorkQueue
from tests.conftest import Router
from tests.integration.in_redis import KEYS
from tests.integration.worker.worker_hand import job_in, start, work_queue
from tests.integration.worker.worker_side import upper, work_all

ODD = {
    "words": "abc", "empty": "", "minus one": "-1", "not a number": "nan", "infinite": "inf", "too large": "1e400",
    "as large as integers are": str(2**63 - 1), "four hundred digits": "9" * 400, "a fraction": "1.5",
    "no text": b"\xff\xfe",
}  # fmt: skip
#: Every field of a record, as admission and workers write them.
FIELDS = [
    "id", "status", "owner", "type", "queue", "priority", "created_at", "deadline_at", "store_ms", "keep_until",
    "stream", "stream_id", "seq", "attempts", "attempt_at", "started_at", "lease_until", "lease_token", "nonce",
    "worker", "retried_token", "crashes", "deaths", "envelope", "due", "store", "metadata", "request_id", "traceparent",
    "result", "error", "last_error", "finished_at",
]  # fmt: skip

each_value = pytest.mark.parametrize("value", ODD.values(), ids=ODD)


def send(router: Router, generate: dict[str, Any], **members: Any) -> str:
    reply = router.post("/v1/jobs", generate | members)
    assert reply.status == 202, reply.body
    return str(reply.json["id"])


def send_one_for_each_field(router: Router, generate: dict[str, Any], **members: Any) -> dict[str, str]:
    """Job ids by the field that will be odd."""
    return {field: send(router, generate, **members) for field in FIELDS}


def overwrite(db: redis.Redis, jobs: dict[str, str], value: str | bytes) -> None:
    for field, job_id in jobs.items():
        db.hset(KEYS.job(job_id), field, value)


def look_in_every_way(router: Router, jobs: dict[str, str], other: str) -> None:
    """The other job is there, and each odd one is shown or left out; no way of looking fails."""
    for status in ("queued", "expired", "in_progress", "completed", "failed"):
        reply = router.get("/v1/jobs", query={"status": [status], "limit": ["100"]})
        assert reply.status == 200, (status, reply.body)
    listed = router.get("/v1/jobs", query={"limit": ["100"]})
    assert other in {job["id"] for job in listed.json["data"]}
    for field, job_id in jobs.items():
        assert router.get(f"/v1/jobs/{job_id}").status in {200, 404}, field
    assert router.get(f"/v1/jobs/{other}").status == 200


def work_the_other(redis_url: str, db: redis.Redis, other: str) -> None:
    """A worker gets to the job behind all odd ones."""
    work_all(redis_url, upper, lambda: db.hget(KEYS.job(other), "status") == "completed", concurrency=8, seconds=30)


@each_value
def test_waiting_jobs(
    value: str | bytes, router: Router, generate: dict[str, Any], redis_url: str, db: redis.Redis
) -> None:
    waiting = send_one_for_each_field(router, generate)
    delayed = send_one_for_each_field(router, generate, delay_seconds=60)
    other = send(router, generate)
    for jobs in (waiting, delayed):
        overwrite(db, jobs, value)
    db.zadd(KEYS.scheduled, dict.fromkeys(delayed.values(), 0))  # their time has come

    for jobs in (waiting, delayed):
        look_in_every_way(router, jobs, other)
    work_the_other(redis_url, db, other)
    for jobs in (waiting, delayed):
        look_in_every_way(router, jobs, other)
        for field, job_id in jobs.items():
            assert router.delete(f"/v1/jobs/{job_id}").status in {200, 404}, field
    assert send(router, generate)


@each_value
def test_waiting_jobs_that_are_cancelled(
    value: str | bytes, router: Router, generate: dict[str, Any], redis_url: str, db: redis.Redis
) -> None:
    waiting = send_one_for_each_field(router, generate)
    other = send(router, generate)
    overwrite(db, waiting, value)

    for field, job_id in waiting.items():
        assert router.delete(f"/v1/jobs/{job_id}").status in {200, 404}, field
    look_in_every_way(router, waiting, other)
    work_the_other(redis_url, db, other)


@each_value
def test_jobs_at_work_whose_worker_died(
    value: str | bytes, router: Router, generate: dict[str, Any], redis_url: str, db: redis.Redis
) -> None:
    begun = send_one_for_each_field(router, generate)
    other = send(router, generate)

    async def die_at_work() -> None:
        async with work_queue(redis_url) as queue:
            for claim in await queue.claim(len(begun)):
                assert isinstance(await start(queue, claim), Lease)

    async def take_over() -> None:
        async with work_queue(redis_url, "worker-2", lease_ms=0) as queue:
            for claim in await queue.reclaim(len(begun)):
                await start(queue, claim)

    asyncio.run(die_at_work())
    overwrite(db, begun, value)
    look_in_every_way(router, begun, other)
    asyncio.run(take_over())
    work_the_other(redis_url, db, other)
    look_in_every_way(router, begun, other)
    for field, job_id in begun.items():
        assert router.delete(f"/v1/jobs/{job_id}").status in {200, 404}, field


ENDS: dict[str, Callable[[WorkQueue, Lease], Awaitable[object]]] = {
    "complete": lambda queue, lease: queue.complete(lease, "1"),
    "fail": lambda queue, lease: queue.fail(lease, '{"code": "c", "message": "m"}'),
    "retry": lambda queue, lease: queue.retry(lease, 0, 3, "c", "m"),
    "last retry": lambda queue, lease: queue.retry(lease, 0, 1, "c", "m"),
    "give back": lambda queue, lease: queue.give_back(lease, "crashed"),
    "give back untouched": lambda queue, lease: queue.give_back(lease, "untouched"),
    "renew": lambda queue, lease: queue.renew(lease),
    "reject": lambda queue, lease: queue.reject(lease.claim, job_in(lease.claim).owner, "c", "m"),
}


@pytest.mark.parametrize("value", [ODD[name] for name in ("words", "empty", "minus one", "too large", "no text")])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_jobs_that_their_worker_ends(
    end: Callable[[WorkQueue, Lease], Awaitable[object]],
    value: str | bytes,
    router: Router,
    generate: dict[str, Any],
    redis_url: str,
    db: redis.Redis,
) -> None:
    begun = send_one_for_each_field(router, generate)
    other = send(router, generate)

    async def end_all() -> None:
        async with work_queue(redis_url) as queue:
            leases = [await start(queue, claim) for claim in await queue.claim(len(begun))]
            overwrite(db, begun, value)
            for lease in leases:
                assert isinstance(lease, Lease)
                await end(queue, lease)
            await queue.promote()

    asyncio.run(end_all())
    look_in_every_way(router, begun, other)
    work_the_other(redis_url, db, other)
