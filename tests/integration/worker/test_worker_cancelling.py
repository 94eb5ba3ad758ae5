"""A consumer at work: cancellations reach it, leases hold."""

import asyncio
import threading
import time
from typing import Any

import redis

from lambda_router_queue.models import Envelope
from tests.conftest import Router
from tests.integration.conftest import Lines, ReadJob, Submit
from tests.integration.in_redis import KEYS
from tests.integration.worker.worker_hand import working
from tests.integration.worker.worker_side import is_final
from tests.patience import soon

#: The contract: a worker learns of a cancellation within this time.
CANCELLATION_SECONDS = 2.0


def test_cancelling_interrupts_a_running_handler(
    redis_url: str, submit: Submit, router: Router, read: ReadJob, log_lines: Lines
):
    interrupted: list[float] = []
    begun = threading.Event()

    async def handler(job: Envelope) -> Any:
        begun.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            interrupted.append(time.monotonic())
            raise

    job_id = submit()

    async def scenario() -> float:
        async with working(redis_url, handler):
            assert await soon(begun.is_set)
            cancelled_at = time.monotonic()
            assert router.delete(f"/v1/jobs/{job_id}").status == 200
            assert await soon(lambda: interrupted)
            return interrupted[0] - cancelled_at

    assert asyncio.run(scenario()) < CANCELLATION_SECONDS
    job = read(job_id)
    assert (job["status"], job["result"]) == ("cancelled", None)
    assert [line["outcome"] for line in log_lines() if line["message"] == "worked"] == ["cancelled"]


def test_after_a_cancellation_the_next_job_is_worked(redis_url: str, submit: Submit, router: Router, read: ReadJob):
    async def handler(job: Envelope) -> Any:
        if job.input["prompt"] == "long":
            await asyncio.sleep(30)
        return "done"

    long, short = submit("long"), submit("short")

    async def scenario() -> None:
        async with working(redis_url, handler, lease_ms=900):
            assert await soon(lambda: read(long)["status"] == "in_progress")
            router.delete(f"/v1/jobs/{long}")
            assert await soon(is_final(read, short))

    asyncio.run(scenario())
    assert [read(job_id)["status"] for job_id in (long, short)] == ["cancelled", "completed"]


def test_a_handler_that_swallows_the_interruption_changes_nothing(
    redis_url: str, submit: Submit, router: Router, read: ReadJob
):
    async def handler(job: Envelope) -> Any:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return "stubborn"

    job_id = submit()

    async def scenario() -> None:
        async with working(redis_url, handler, lease_ms=900) as worker:
            assert await soon(lambda: read(job_id)["status"] == "in_progress")
            router.delete(f"/v1/jobs/{job_id}")
            assert await soon(lambda: worker.consumer.running == 0)

    asyncio.run(scenario())
    assert (read(job_id)["status"], read(job_id)["result"]) == ("cancelled", None)


def test_a_long_job_outlives_its_first_lease(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    """Renewals come more often than leases lapse."""

    async def handler(job: Envelope) -> Any:
        await asyncio.sleep(1.3)
        return "done"

    job_id = submit()

    async def scenario() -> None:
        async with working(redis_url, handler, lease_ms=900):
            assert await soon(lambda: db.hget(KEYS.job(job_id), "lease_until"))
            first = db.hget(KEYS.job(job_id), "lease_until")
            assert await soon(lambda: db.hget(KEYS.job(job_id), "lease_until") != first)
            assert await soon(is_final(read, job_id))

    asyncio.run(scenario())
    assert (read(job_id)["status"], read(job_id)["attempts"]) == ("completed", 1)
