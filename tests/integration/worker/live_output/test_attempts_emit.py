"""Live output over several attempts, after a cancellation, and beyond its limit."""

import asyncio
from typing import Any

import redis

from lambda_router_worker.job import Job
from lambda_router_worker.outcomes import JobFailed, TryAgain
from tests.conftest import Router
from tests.integration.conftest import Lines, ReadJob, Submit
from tests.integration.in_redis import KEYS
from tests.integration.worker.live_output.log_reader import log_of, text_of
from tests.integration.worker.worker_hand import working
from tests.integration.worker.worker_side import is_final, work_all
from tests.patience import soon

# Attempts


def test_a_retry_voids_the_output_of_the_attempt_before(
    redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"
):
    attempts: list[int] = []

    async def handler(job: Job) -> Any:
        attempts.append(1)
        await job.emit(f"attempt {len(attempts)}")
        await asyncio.sleep(0.1)
        if len(attempts) < 3:
            raise TryAgain("busy", "Once more.")
        return "done"

    job_id = submit(type="thrice")
    work_all(redis_url, handler, is_final(read, job_id))
    (mark, kind), *others = log_of(db, job_id)
    assert (kind, [shown for _, shown in others]) == ("restarted", [{"text": "attempt 3"}, "end"])
    assert mark == f"{db.hget(KEYS.job(job_id), 'lease_token')}-0"


def test_an_attempt_that_emitted_nothing_leaves_no_mark(
    redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"
):
    attempts: list[int] = []

    async def handler(job: Job) -> Any:
        attempts.append(1)
        if len(attempts) == 1:
            raise TryAgain("busy", "Once more.")
        await job.emit("a")
        return "done"

    job_id = submit(type="thrice")
    work_all(redis_url, handler, is_final(read, job_id))
    assert [shown for _, shown in log_of(db, job_id)] == [{"text": "a"}, "end"]


def test_a_job_that_fails_keeps_what_was_shown(redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"):
    async def handler(job: Job) -> Any:
        await job.emit("a")
        await asyncio.sleep(0.1)
        raise JobFailed("no", "No.")

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id))
    assert [shown for _, shown in log_of(db, job_id)] == [{"text": "a"}, "end"]


def test_a_cancelled_job_emits_nothing_more(
    redis_url: str, submit: Submit, router: Router, read: ReadJob, db: "redis.Redis"
):
    async def scenario() -> None:
        cancelled = asyncio.Event()

        async def handler(job: Job) -> Any:
            await job.emit("before")
            try:
                await cancelled.wait()
                for _ in range(10):
                    await job.emit("after")
                    await asyncio.sleep(0.02)
            finally:
                ended.set()

        ended = asyncio.Event()
        job_id = submit()
        async with working(redis_url, handler):
            assert await soon(lambda: text_of(db, job_id) == "before")
            assert router.delete(f"/v1/jobs/{job_id}").status == 200
            cancelled.set()
            assert await soon(ended.is_set)
        assert read(job_id)["status"] == "cancelled"
        assert text_of(db, job_id) == "before"

    asyncio.run(scenario())


def test_output_beyond_the_limit_fails_the_job_as_too_large(
    redis_url: str, submit: Submit, read: ReadJob, log_lines: Lines
):
    async def handler(job: Job) -> Any:
        while True:
            await job.emit("x" * 1024 * 1024)

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id), seconds=20)
    assert (read(job_id)["status"], read(job_id)["error"]["code"]) == ("failed", "result_too_large")


def test_output_that_redis_finds_too_large_fails_the_job_under_its_own_code(
    redis_url: str, submit: Submit, read: ReadJob, log_lines: Lines
):
    """Each face is one character, and four bytes."""

    async def handler(job: Job) -> Any:
        for _ in range(5):
            await job.emit("😀" * 1024 * 1024)
        return "done"

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id), seconds=30)
    assert read(job_id)["error"]["code"] == "result_too_large"
    [line] = [line for line in log_lines() if line["message"] == "worked"]
    assert (line["outcome"], line["code"]) == ("failed", "result_too_large")
