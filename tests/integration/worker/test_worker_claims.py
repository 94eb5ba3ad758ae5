"""The worker's side by hand: claiming and starting."""

import asyncio

import pytest
import redis

from lambda_router_queue.models import Envelope
from lambda_router_worker.queue.work_queue import Lease
from tests.conftest import Router
from tests.integration.conftest import ReadJob, Submit
from tests.integration.in_redis import KEYS, entries, stored_jobs
from tests.integration.worker.worker_hand import claim_one, job_in, start, start_one, work_queue
from tests.integration.worker.worker_side import FATES


def test_two_workers_never_claim_the_same_job(redis_url: str, submit: Submit):
    sent = {submit() for _ in range(20)}

    async def scenario() -> list[str]:
        async with work_queue(redis_url, "worker-1") as one, work_queue(redis_url, "worker-2") as two:
            claims = await asyncio.gather(*(queue.claim(1) for queue in (one, two) * 10))
            return [job_in(claim).id for some in claims for claim in some]

    claimed = asyncio.run(scenario())
    assert sorted(claimed) == sorted(sent)


def test_a_claim_carries_the_envelope(redis_url: str, submit: Submit, db: redis.Redis):
    submit("Grüße 🗼", metadata={"k": "v"})

    async def scenario() -> Envelope:
        async with work_queue(redis_url) as queue:
            return job_in(await claim_one(queue))

    assert asyncio.run(scenario()).model_dump(exclude_unset=True) == entries(db)[0][1]


def test_a_wait_for_jobs_ends_with_the_first(redis_url: str, submit: Submit):
    async def scenario() -> tuple[int, str, str]:
        async with work_queue(redis_url) as queue:
            nothing = await queue.wait(50)
            waiting = asyncio.create_task(queue.wait(10_000))
            await asyncio.sleep(0.1)
            sent = submit(priority="low")
            async with asyncio.timeout(5):
                [claim] = await waiting
            return len(nothing), sent, job_in(claim).id

    nothing, sent, claimed = asyncio.run(scenario())
    assert nothing == 0
    assert claimed == sent


def test_preparing_twice_is_harmless_and_forgets_nothing(redis_url: str, submit: Submit):
    sent = submit()

    async def scenario() -> tuple[str, int]:
        async with work_queue(redis_url) as queue:
            claimed = job_in(await claim_one(queue)).id
            await queue.prepare()
            return claimed, len(await queue.claim(1))

    assert asyncio.run(scenario()) == (sent, 0)


# Starting


def test_a_started_job_is_in_progress_under_a_token(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    job_id = submit()

    async def scenario() -> Lease:
        async with work_queue(redis_url, "worker-9") as queue:
            return await start_one(queue)

    lease = asyncio.run(scenario())
    assert lease.attempts == 1
    assert read(job_id)["status"] == "in_progress"
    record = db.hgetall(KEYS.job(job_id))
    assert (record["worker"], record["lease_token"]) == ("worker-9", str(lease.token))
    now = db.time()[0] * 1000
    assert now + 25_000 < int(record["lease_until"]) <= now + 31_000


def test_an_expired_job_is_recorded_as_expired_at_its_deadline(
    redis_url: str, submit: Submit, router: Router, read: ReadJob, db: redis.Redis
):
    job_id = submit()

    async def scenario() -> Lease | str:
        async with work_queue(redis_url) as queue:
            claim = await claim_one(queue)
            FATES["expired"](router, db, job_id)
            return await start(queue, claim)

    assert asyncio.run(scenario()) == "expired"
    job = read(job_id)
    assert (job["status"], job["attempts"], job["finished_at"]) == ("expired", 0, job["expires_at"])


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_finished_job_is_not_started_again(redis_url: str, submit: Submit, db: redis.Redis, status: str):
    submit()

    async def scenario() -> tuple[Lease | str, Lease | str]:
        async with work_queue(redis_url) as queue:
            lease = await start_one(queue)
            twice = await start(queue, lease.claim)
            await (queue.complete if status == "completed" else queue.fail)(lease, '{"a":1}')
            return twice, await start(queue, lease.claim)

    assert asyncio.run(scenario()) == ("leased", status)
    assert stored_jobs(db) == 0
