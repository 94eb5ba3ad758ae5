"""A consumer at work: how many jobs at a time, and how it ends."""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
import redis

from lambda_router_queue.models import Envelope
from lambda_router_worker.processing.consumer import Consumer
from lambda_router_worker.processing.handlers import load_handler
from lambda_router_worker.processing.job_run import JobRun
from lambda_router_worker.queue.connection import connect
from lambda_router_worker.queue.work_queue import RELEASED, Claim, WorkQueue
from tests.conftest import Router
from tests.integration.conftest import ReadJob, Submit
from tests.integration.in_redis import QUEUE, pending
from tests.integration.worker.worker_hand import claim_one, start_one, work_queue, working
from tests.integration.worker.worker_side import Gate, is_final, upper, work_all
from tests.patience import soon


@pytest.mark.parametrize("concurrency", [1, 2, 7])
def test_as_many_jobs_are_worked_at_once_as_was_asked_for(
    redis_url: str, submit: Submit, read: ReadJob, concurrency: int
):
    sent = [submit(priority=level) for level in ("high", "normal", "low") for _ in range(4)]

    async def scenario() -> int:
        gate = Gate()
        async with working(redis_url, gate, concurrency) as worker:
            assert await soon(lambda: gate.inside == concurrency)
            await asyncio.sleep(0.1)
            assert (gate.inside, worker.consumer.running) == (concurrency, concurrency)
            assert sum(read(job_id)["status"] == "in_progress" for job_id in sent) == concurrency
            gate.open.set()
            assert await soon(is_final(read, *sent))
        return gate.most

    assert asyncio.run(scenario()) == concurrency


def test_jobs_that_arrive_together_at_an_idle_worker_do_not_exceed_its_concurrency_and_are_all_worked(
    redis_url: str, router: Router, read: ReadJob, db: redis.Redis
):
    async def scenario() -> tuple[int, list[str]]:
        gate = Gate()
        async with working(redis_url, gate, lease_ms=1_500):
            assert await soon(lambda: db.info("clients")["blocked_clients"] == 1)
            sent = send_together(router, "high", "normal", "low")
            assert await soon(lambda: gate.inside > 0)
            await asyncio.sleep(0.2)
            holders = Counter(entry["consumer"] for entry in pending(db))
            assert holders == {"worker-1": 1, RELEASED: len(sent) - 1}
            gate.open.set()
            assert await soon(is_final(read, *sent))
        return gate.most, sent

    most, sent = asyncio.run(scenario())
    assert most == 1
    assert [(read(job_id)["status"], read(job_id)["attempts"]) for job_id in sent] == [("completed", 1)] * 3


def test_a_job_given_back_amid_a_busy_queue_is_not_overtaken(redis_url: str, submit: Submit):
    """Each job that is done brings a new one, so the worker is never idle and does not sweep for ten seconds."""
    worked: list[str] = []

    async def handler(job: Envelope) -> Any:
        worked.append(job.id)
        submit()
        return "done"

    async def scenario() -> int:
        for _ in range(5):
            submit()
        async with work_queue(redis_url, "woken") as woken, working(redis_url, handler):
            assert await soon(lambda: len(worked) > 20)
            claim = await claim_one(woken)
            await woken.release(claim)
            before = len(worked)
            assert await soon(lambda: claim.job_id in worked)
            return worked.index(claim.job_id) - before

    assert asyncio.run(scenario()) <= 7


def test_what_an_idle_worker_had_no_room_for_is_not_left_lying_while_it_has(
    redis_url: str, router: Router, read: ReadJob, db: redis.Redis
):
    """A batch wakes a worker with one job of each lane."""

    async def scenario() -> None:
        async with working(redis_url, upper):
            assert await soon(lambda: db.info("clients")["blocked_clients"] == 1)
            sent = send_together(router, *["normal"] * 20)
            assert await soon(is_final(read, *sent), seconds=3)

    asyncio.run(scenario())


def test_a_job_taken_over_and_a_new_one_do_not_exceed_the_concurrency(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    """The one comes from the sweep while the claiming loop waits for the other."""
    left = submit("left")

    async def scenario() -> tuple[int, list[str]]:
        async with work_queue(redis_url, "dead", lease_ms=1) as dead:
            await start_one(dead)
        gate = Gate()
        async with working(redis_url, gate, lease_ms=600):
            assert await soon(lambda: gate.inside == 1)
            new = submit("new")
            await asyncio.sleep(0.2)
            gate.open.set()
            assert await soon(is_final(read, left, new))
        return gate.most, [left, new]

    most, jobs = asyncio.run(scenario())
    assert most == 1
    assert [read(job_id)["status"] for job_id in jobs] == ["completed", "completed"]


def send_together(router: Router, *priorities: str) -> list[str]:
    """Jobs that arrive in one step; their ids."""
    jobs = [{"type": "generate", "input": {"prompt": "x"}, "priority": priority} for priority in priorities]
    reply = router.post("/v1/jobs/batch", {"jobs": jobs})
    assert reply.status == 200, reply.body
    return [verdict["job"]["id"] for verdict in reply.json["data"]]


class Meeting:
    """A plain function that ends when as many of it are at work as were invited."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(1)

    def __call__(self, job: Envelope) -> Any:
        try:
            self.barrier.wait(timeout=4)
        except threading.BrokenBarrierError:
            return "alone"
        return "met"


meeting = Meeting()


def test_plain_functions_are_worked_at_once_too(redis_url: str, submit: Submit, read: ReadJob):
    """More of them than a default thread pool has threads."""
    wanted = (os.process_cpu_count() or 1) + 8
    meeting.barrier = threading.Barrier(wanted)
    sent = [submit() for _ in range(wanted)]
    work_all(redis_url, load_handler(f"{__name__}:meeting"), is_final(read, *sent), concurrency=wanted)
    assert {read(job_id)["result"] for job_id in sent} == {"met"}


# The end


def test_stopping_finishes_what_was_begun_and_claims_no_more(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    begun, waiting = submit("begun"), submit("waiting")

    async def scenario() -> None:
        gate = Gate()
        async with working(redis_url, gate) as worker:
            assert await soon(lambda: gate.inside == 1)
            ending = asyncio.create_task(worker.end())
            await asyncio.sleep(0.1)
            assert not ending.done()
            gate.open.set()
            async with asyncio.timeout(5):
                await ending
            assert worker.consumer.running == 0

    asyncio.run(scenario())
    assert [read(job_id)["status"] for job_id in (begun, waiting)] == ["completed", "queued"]
    assert pending(db) == []


def test_a_draining_worker_keeps_its_lease_and_hears_of_cancellations(
    redis_url: str, submit: Submit, router: Router, read: ReadJob
):
    job_id = submit()

    async def scenario() -> None:
        async with working(redis_url, Gate(), lease_ms=900) as worker:
            assert await soon(lambda: read(job_id)["status"] == "in_progress")
            ending = asyncio.create_task(worker.end())
            await asyncio.sleep(0.05)
            router.delete(f"/v1/jobs/{job_id}")
            async with asyncio.timeout(5):
                await ending

    asyncio.run(scenario())
    assert read(job_id)["status"] == "cancelled"


def test_an_idle_worker_stops_within_its_idle_wait(redis_url: str, db: redis.Redis):
    async def scenario() -> None:
        async with working(redis_url, upper) as worker:
            assert await soon(lambda: db.info("clients")["blocked_clients"] == 1)
            async with asyncio.timeout(5):
                await worker.end()

    asyncio.run(scenario())


def test_a_worked_job_makes_room_while_its_outcome_is_written_but_for_no_more_than_as_many_again(
    redis_url: str, submit: Submit
):
    """As when Redis takes no results: the work goes on, and what waits to be written does not pile up."""
    begun: list[str] = []
    written = asyncio.Event()

    class SlowlyWritten(JobRun):
        async def __call__(self, claim: Claim, worked: Callable[[], None] = lambda: None) -> None:
            begun.append(claim.job_id)
            worked()
            await written.wait()

    for _ in range(6):
        submit()

    async def scenario() -> tuple[int, int]:
        async with aclosing(connect(redis_url)) as connection:
            stop = asyncio.Event()
            queue = WorkQueue(connection, QUEUE, "worker-1")
            consumer = Consumer(queue, SlowlyWritten(queue, upper), 2)
            consuming = asyncio.create_task(consumer.run(stop))
            assert await soon(lambda: len(begun) == 4)
            await asyncio.sleep(0.1)
            unwritten = len(begun)
            written.set()
            assert await soon(lambda: len(begun) == 6)
            stop.set()
            await consuming
            return unwritten, consumer.running

    assert asyncio.run(scenario()) == (4, 0)
