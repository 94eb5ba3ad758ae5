"""The worker's side by hand: leases, fencing, final states."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
import redis

from tests.conftest import Router
from tests.integration.conftest import BuildRouter, ReadJob, Submit
from tests.integration.in_redis import KEYS, everything, pending
from tests.integration.worker.worker_hand import job_in, start, start_one, work_queue
from tests.integration.worker.worker_side import FATES

# Leases and fencing


def test_a_late_worker_whose_job_nobody_took_over_may_still_finish(redis_url: str, submit: Submit, read: ReadJob):
    job_id = submit()

    async def scenario() -> str:
        async with work_queue(redis_url, lease_ms=1) as queue:
            lease = await start_one(queue)
            await asyncio.sleep(0.05)
            return await queue.complete(lease, '"late"')

    assert asyncio.run(scenario()) == "done"
    assert read(job_id)["result"] == "late"


def test_renewing_keeps_the_entry_with_its_worker(redis_url: str, submit: Submit, db: redis.Redis):
    submit()
    before: list[dict[str, Any]] = []

    async def scenario() -> None:
        async with work_queue(redis_url, "one") as one:
            lease = await start_one(one)
            before.extend(pending(db))
            await asyncio.sleep(0.1)
            assert await one.renew(lease) == "run"

    asyncio.run(scenario())
    [entry] = pending(db)
    assert (entry["consumer"], entry["times_delivered"]) == ("one", before[0]["times_delivered"])
    assert entry["time_since_delivered"] < 100


@pytest.mark.parametrize("verdict", ["cancelled", "gone"])
def test_renewing_tells_that_a_job_is_no_longer_wanted(
    redis_url: str, submit: Submit, router: Router, db: redis.Redis, verdict: str
):
    job_id = submit()

    async def scenario() -> str:
        async with work_queue(redis_url) as queue:
            lease = await start_one(queue)
            FATES[verdict](router, db, job_id)
            return await queue.renew(lease)

    assert asyncio.run(scenario()) == verdict


# Finishing


def test_a_final_state_is_written_once(redis_url: str, submit: Submit, read: ReadJob):
    job_id = submit()

    async def scenario() -> str:
        async with work_queue(redis_url) as queue:
            lease = await start_one(queue)
            await queue.complete(lease, '"first"')
            return await queue.fail(lease, '{"code":"c","message":"m"}')

    assert asyncio.run(scenario()) == "completed"
    job = read(job_id)
    assert (job["status"], job["result"], job["error"]) == ("completed", "first", None)


@pytest.mark.parametrize("verdict", ["cancelled", "gone"])
def test_a_result_nobody_wants_is_thrown_away(
    redis_url: str, submit: Submit, router: Router, db: redis.Redis, verdict: str
):
    job_id = submit()

    async def scenario() -> str:
        async with work_queue(redis_url) as queue:
            lease = await start_one(queue)
            FATES[verdict](router, db, job_id)
            before = everything(db)
            answer = await queue.complete(lease, "1")
            assert everything(db) == before
            return answer

    assert asyncio.run(scenario()) == verdict


def test_a_finished_job_is_kept_for_the_storage_time_from_its_end(
    build_router: BuildRouter, redis_url: str, db: redis.Redis
):
    router = build_router(ROUTER_STORE_RESULT_SECONDS="600", ROUTER_IDEMPOTENCY_SECONDS="60")
    body = {"type": "generate", "input": {"prompt": "x"}, "ttl_seconds": 86_400}
    job_id = router.post("/v1/jobs", body).json["id"]

    async def scenario() -> None:
        async with work_queue(redis_url) as queue:
            await queue.complete(await start_one(queue), "1")

    asyncio.run(scenario())
    assert 590_000 < db.pttl(KEYS.job(job_id)) <= 600_000


def test_every_script_survives_being_forgotten(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    sent = [submit() for _ in range(3)]

    async def scenario() -> list[Any]:
        async with work_queue(redis_url) as queue:

            async def forgotten(call: Awaitable[Any]) -> Any:
                db.script_flush()
                return await call

            claims = await forgotten(queue.claim(3))
            leases = [await forgotten(start(queue, claim)) for claim in claims[:2]]
            answers = [
                await forgotten(queue.renew(leases[0])),
                await forgotten(queue.complete(leases[0], "1")),
                await forgotten(queue.retry(leases[1], 0, 3, "busy", "Busy.")),
                await forgotten(queue.promote()),
                await forgotten(queue.reject(claims[2], job_in(claims[2]).owner, "unreadable", "Unreadable.")),
                await forgotten(queue.beat(1)),
                await forgotten(queue.tidy(3_600_000)),
            ]
            again = await forgotten(start_one(queue))
            return [*answers, await forgotten(queue.fail(again, '{"code":"c","message":"m"}'))]

    assert asyncio.run(scenario()) == ["run", "done", "scheduled", 1, "dead", None, 0, "done"]
    assert sorted(read(job_id)["status"] for job_id in sent) == ["completed", "failed", "failed"]
