"""The worker's side by hand: a started job that is given back, because the trouble is the worker's own."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest
import redis

from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.queue.connection import connect
from lambda_router_worker.queue.work_queue import Begun, Lease, WorkQueue
from tests.conftest import Router
from tests.integration.conftest import ReadJob, Submit
from tests.integration.in_redis import KEYS, dead_letters, everything, expire, pending, stored_jobs
from tests.integration.worker.worker_hand import start, start_one, work_queue
from tests.integration.worker.worker_side import FATES

type Step = Callable[[WorkQueue, Lease], Awaitable[None]]


def begin_and(redis_url: str, step: Step) -> None:
    """Start the next job, and do that with it."""

    async def scenario() -> None:
        async with work_queue(redis_url) as queue:
            await step(queue, await start_one(queue))

    asyncio.run(scenario())


async def given_back(queue: WorkQueue, lease: Lease) -> None:
    assert await queue.give_back(lease, "untouched") == "given back"


async def begun(queue: WorkQueue, lease: Lease) -> None:
    assert await queue.give_back(lease, "begun") == "given back"


async def crashed(queue: WorkQueue, lease: Lease) -> None:
    assert await queue.give_back(lease, "crashed") == "given back"


def test_a_job_given_back_is_as_if_it_had_never_been_started(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    job_id = submit()
    before = read(job_id)
    begin_and(redis_url, given_back)
    job = read(job_id)

    assert (job["status"], job["attempts"], job["started_at"], job["position"]) == ("queued", 0, None, 1)
    assert job | {"estimated_start_at": None} == before | {"estimated_start_at": None}
    [entry] = pending(db)
    assert (entry["consumer"], entry["times_delivered"]) == ("released", 0)
    assert stored_jobs(db) == 1


def test_a_job_given_back_is_found_by_the_next_sweep_and_worked_with_a_larger_token(
    redis_url: str, submit: Submit, read: ReadJob
):
    job_id = submit()

    async def scenario() -> None:
        async with work_queue(redis_url, "one") as one, work_queue(redis_url, "two") as two:
            first = await start_one(one)
            await one.give_back(first, "untouched")
            [claim] = await two.reclaim(1)
            second = await start(two, claim)
            assert isinstance(second, Lease)
            assert second.token > first.token
            assert second.attempts == 1
            assert await one.complete(first, '"stale"') == "lost"
            assert await two.complete(second, '"fresh"') == "done"

    asyncio.run(scenario())
    assert (read(job_id)["status"], read(job_id)["result"]) == ("completed", "fresh")


@pytest.mark.parametrize("how", ["untouched", "begun", "crashed"])
def test_giving_back_twice_is_giving_back_once(redis_url: str, submit: Submit, db: redis.Redis, how: Begun):
    submit()

    async def twice(queue: WorkQueue, lease: Lease) -> None:
        assert await queue.give_back(lease, how) == "given back"
        before = everything(db)
        assert await queue.give_back(lease, how) == "given back"
        assert await queue.renew(lease) == await queue.complete(lease, '"late"') == "queued"
        assert everything(db) == before

    begin_and(redis_url, twice)


def test_only_the_attempt_at_hand_can_be_given_back(redis_url: str, submit: Submit, db: redis.Redis):
    submit()

    async def scenario() -> None:
        async with work_queue(redis_url, "one", lease_ms=1) as one, work_queue(redis_url, "two") as two:
            first = await start_one(one)
            await asyncio.sleep(0.05)
            assert isinstance(await start(two, first.claim), Lease)
            before = everything(db)
            assert await one.give_back(first, "crashed") == "lost"
            assert everything(db) == before

    asyncio.run(scenario())


@pytest.mark.parametrize("fate", ["cancelled", "gone"])
def test_a_job_that_is_no_longer_there_is_not_given_back(
    redis_url: str, submit: Submit, router: Router, db: redis.Redis, fate: str
):
    job_id = submit()

    async def late(queue: WorkQueue, lease: Lease) -> None:
        FATES[fate](router, db, job_id)
        before = everything(db)
        assert await queue.give_back(lease, "crashed") == fate
        assert everything(db) == before

    begin_and(redis_url, late)


def test_the_attempts_before_still_count(redis_url: str, submit: Submit, read: ReadJob):
    job_id = submit(type="thrice")

    async def scenario() -> None:
        async with work_queue(redis_url) as queue:
            assert await queue.retry(await start_one(queue), 0, 3, "busy", "Busy.") == "scheduled"
            await queue.promote()
            await given_back(queue, await start_one(queue))

    asyncio.run(scenario())
    job = read(job_id)
    assert (job["attempts"], job["last_error"]) == (1, {"code": "busy", "message": "Busy."})
    assert job["started_at"] is not None


@pytest.mark.parametrize(
    ("step", "then"),
    [(given_back, "expired"), (begun, "queued"), (crashed, "queued")],
    ids=["untouched", "begun", "crashed"],
)
def test_only_an_untouched_job_still_expires(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, step: Step, then: str
):
    job_id = submit()
    begin_and(redis_url, step)
    expire(db, job_id)

    assert read(job_id)["status"] == then


def test_a_job_that_had_begun_once_does_not_expire_though_it_was_given_back_untouched_since(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    job_id = submit()

    async def scenario() -> None:
        async with work_queue(redis_url) as queue:
            await begun(queue, await start_one(queue))
            await asyncio.sleep(0.002)
            [claim] = await queue.reclaim(1)
            lease = await start(queue, claim)
            assert isinstance(lease, Lease)
            await given_back(queue, lease)

    asyncio.run(scenario())
    expire(db, job_id)
    assert (read(job_id)["status"], read(job_id)["attempts"]) == ("queued", 0)


def test_a_job_given_back_too_late_expires_when_it_is_found(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    job_id = submit()

    async def late(queue: WorkQueue, lease: Lease) -> None:
        expire(db, job_id)
        await given_back(queue, lease)
        [claim] = await queue.reclaim(1)
        assert await start(queue, claim) == "expired"

    begin_and(redis_url, late)
    assert (read(job_id)["status"], stored_jobs(db), pending(db)) == ("expired", 0, [])


def test_a_job_given_back_can_be_cancelled(redis_url: str, submit: Submit, router: Router, db: redis.Redis):
    job_id = submit()
    begin_and(redis_url, given_back)

    assert router.delete(f"/v1/jobs/{job_id}").json["status"] == "cancelled"
    assert (stored_jobs(db), pending(db), db.exists(KEYS.open_jobs(_owner(db, job_id)))) == (0, [], 0)
    assert int(str(db.hget(KEYS.flow, "left:4"))) == int(str(db.hget(KEYS.flow, "added:4"))) == 1


def test_the_third_crash_makes_a_dead_letter(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    job_id = submit("it breaks the server")

    async def scenario() -> None:
        async with work_queue(redis_url) as queue:
            verdicts = [await queue.give_back(await start_one(queue), "crashed")]
            for _ in range(2):
                [claim] = await queue.reclaim(1)
                lease = await start(queue, claim)
                assert isinstance(lease, Lease)
                verdicts += [await queue.give_back(lease, "crashed")]
            assert verdicts == ["given back", "given back", "dead"]
            before = everything(db)
            assert await queue.give_back(lease, "crashed") == "dead"
            assert everything(db) == before

    asyncio.run(scenario())
    job = read(job_id)
    assert (job["status"], job["error"]["code"]) == ("failed", "backend_crashed")
    [letter] = dead_letters(db)
    assert (letter["id"], letter["code"]) == (job_id, "backend_crashed")
    assert (stored_jobs(db), pending(db)) == (0, [])


def test_a_dead_letter_sent_round_again_begins_without_crashes(redis_url: str, submit: Submit, db: redis.Redis):
    job_id = submit()
    begin_and(redis_url, crashed)
    assert db.hget(KEYS.job(job_id), "crashes") == "1"

    async def bury_and_revive() -> None:
        async with work_queue(redis_url) as queue, aclosing(connect(redis_url)) as client:
            [claim] = await queue.reclaim(1)
            lease = await start(queue, claim)
            assert isinstance(lease, Lease)
            assert await queue.retry(lease, 0, 1, "busy", "Busy.") == "dead"
            operations = Operations(client, KEYS.queue)
            letter = await operations.letter(job_id)
            assert letter is not None
            assert await operations.retry(letter) == "queued"

    asyncio.run(bury_and_revive())
    assert db.hget(KEYS.job(job_id), "crashes") is None


def _owner(db: redis.Redis, job_id: str) -> str:
    return str(db.hget(KEYS.job(job_id), "owner"))


def test_while_a_job_is_tried_again_its_caller_reads_why(redis_url: str, submit: Submit, read: ReadJob):
    job_id = submit(type="thrice")
    assert read(job_id)["last_error"] is None
    seen: list[object] = []

    async def scenario() -> None:
        async with work_queue(redis_url) as queue:
            await queue.retry(await start_one(queue), 0, 3, "busy", "Größer.")
            seen.append(read(job_id)["last_error"])
            await queue.promote()
            lease = await start_one(queue)
            seen.append(read(job_id)["last_error"])
            await queue.complete(lease, '"done"')

    asyncio.run(scenario())
    assert seen == [{"code": "busy", "message": "Größer."}] * 2
    assert read(job_id)["last_error"] is None
