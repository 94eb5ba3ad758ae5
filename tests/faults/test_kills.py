"""Processes die at any moment, and no job is lost or finished twice."""

import asyncio
import random
import signal
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from lambda_router_worker.queue import connection
from lambda_router_worker.queue.work_queue import WorkQueue
from tests.faults.conftest import Tell
from tests.faults.kit import LEASE_SECONDS, QUEUE, Callers, Crew, Server, eventually, size

OWNERS = ("alice", "bob", "carol", "dave")
PRIORITIES = ("high", "normal", "low")


def send_some(callers: Callers, rng: random.Random, count: int, first: int) -> dict[str, tuple[str, str]]:
    """Send jobs of several callers and priorities, each under a key of its own: key → (job id, owner)."""
    sent = {}
    for number in range(first, first + count):
        owner, key = rng.choice(OWNERS), f"key-{number}"
        members = {"prompt": str(rng.randint(5, 50)), "priority": rng.choice(PRIORITIES)}
        sent[key] = (callers.send(owner, key=key, **members), owner)
    return sent


def assert_each_completed_once(server: Server, callers: Callers, sent: dict[str, tuple[str, str]]) -> None:
    ids = [job_id for job_id, _ in sent.values()]
    assert len(set(ids)) == len(sent), "two keys share a job"
    for owner in OWNERS:
        jobs = callers.look([job_id for job_id, its in sent.values() if its == owner], owner)
        assert {job.status for job in jobs} <= {"completed"}
        assert server.db.zcard(QUEUE.owner(owner)) == len(jobs), "a key has two jobs"
    assert server.final_writes() == dict.fromkeys(ids, 1)
    assert (server.entries_left(), server.pending()) == (0, 0)


def wait_until_done(server: Server, crew: Crew, seconds: float = 60) -> None:
    try:
        eventually(lambda: server.entries_left() == 0, seconds, "all jobs are done")
    except AssertionError as error:
        raise AssertionError(f"{error}; {server.entries_left()} left; log:\n{crew.said()[-4000:]}") from None


@pytest.mark.timeout(300)
def test_killed_workers_lose_no_job_and_finish_none_twice(
    server: Server, callers: Callers, crew: Crew, tell: Tell
) -> None:
    began, rng = time.monotonic(), random.Random(1)
    kills, portion = size(4, 50), 20
    for _ in range(size(2, 4)):
        crew.hire()

    sent: dict[str, tuple[str, str]] = {}
    for _ in range(kills):
        sent |= send_some(callers, rng, portion, len(sent))
        crew.kill_one(rng)
    wait_until_done(server, crew)

    assert_each_completed_once(server, callers, sent)
    assert crew.begun_again_without_need() == set()
    assert {job_id for job_id, _ in crew.begun()} == {job_id for job_id, _ in sent.values()}
    again = crew.begun_again()
    assert again.total() <= kills
    tell(
        f"workers killed: {len(crew.killed)} | jobs: {len(sent)} | begun again: {again.total()}, all of them held by a"
        f" killed worker | lost: 0 | finished twice: 0 | {time.monotonic() - began:.0f} s"
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("server", ["always"], indirect=True)
def test_a_killed_server_with_aof_always_loses_nothing_acknowledged_and_doubles_nothing(
    server: Server, callers: Callers, crew: Crew, tell: Tell
) -> None:
    began, rng = time.monotonic(), random.Random(2)
    restarts, portion = size(2, 10), size(40, 100)
    for _ in range(size(2, 3)):
        crew.hire()
    eventually(lambda: server.db.zcard(QUEUE.workers) > 0, 20, "a worker is there")

    sent: dict[str, tuple[str, str]] = {}
    for _ in range(restarts):
        sent |= send_through_a_crash(server, callers, rng, portion, len(sent))
    wait_until_done(server, crew)

    assert_each_completed_once(server, callers, sent)
    tell(
        f"server killed, AOF always: {restarts} times | acknowledged: {len(sent)} | begun again:"
        f" {crew.begun_again().total()} | lost: 0 | keys with two jobs: 0 | finished twice: 0"
        f" | {time.monotonic() - began:.0f} s"
    )


def test_a_dead_workers_job_is_taken_over_although_the_queue_never_runs_empty(
    server: Server, callers: Callers, crew: Crew
) -> None:
    job_id = callers.send()

    async def begin_and_die() -> None:
        client = connection.connect(server.url)
        worker = WorkQueue(client, QUEUE.queue, "dead", lease_ms=LEASE_SECONDS * 1000)
        await worker.prepare()
        (claim,) = await worker.claim(1)
        await worker.start(claim, "alice")
        await client.aclose()

    asyncio.run(begin_and_die())
    backlog = 160
    for _ in range(backlog):
        callers.send(prompt="40")
    crew.hire()

    wait_until_done(server, crew)
    order = [begun for begun, _ in crew.begun()]
    assert order.index(job_id) < backlog * 3 / 4, "it had to wait until nothing else was left to do"


#: Valkey holds a write back for up to 2 s while the disk is busy with an earlier sync (``everysec``).
HELD_BACK_SECONDS = 2.5


@pytest.mark.timeout(300)
def test_a_killed_server_with_aof_everysec_loses_at_most_what_was_acknowledged_in_its_last_two_seconds(
    server: Server, callers: Callers, tell: Tell
) -> None:
    rng = random.Random(3)
    kills, portion = size(2, 10), size(40, 200)
    acknowledged: dict[str, float] = {}
    killed_at: list[float] = []
    for _ in range(kills):
        sender = threading.Thread(target=send_timed, args=(callers, portion, acknowledged))
        sender.start()
        time.sleep(rng.uniform(0.02, 0.2))
        killed_at.append(time.monotonic())
        server.kill()
        server.restart()
        sender.join()

    lost = [job_id for job_id in acknowledged if not server.db.exists(QUEUE.job(job_id))]

    assert all(any(0 <= at - acknowledged[job_id] < HELD_BACK_SECONDS for at in killed_at) for job_id in lost)
    assert server.entries_left() == len(acknowledged) - len(lost)
    tell(f"server killed, AOF everysec: {kills} times | acknowledged: {len(acknowledged)} | lost: {len(lost)}")


def send_timed(callers: Callers, count: int, acknowledged: dict[str, float]) -> None:
    """Send jobs; note when each was acknowledged."""
    first = len(acknowledged)
    for number in range(first, first + count):
        job_id = callers.send(key=f"key-{number}")
        acknowledged[job_id] = time.monotonic()
        time.sleep(0.001)


def send_through_a_crash(
    server: Server, callers: Callers, rng: random.Random, count: int, first: int
) -> dict[str, tuple[str, str]]:
    """Send jobs while the server is killed, stays away for a moment, and comes back."""
    sent: dict[str, tuple[str, str]] = {}
    sender = threading.Thread(target=lambda: sent.update(send_some(callers, rng, count, first)))
    chance = random.Random(first)
    sender.start()
    time.sleep(chance.uniform(0.01, 0.15))
    server.kill()
    time.sleep(chance.uniform(0, 0.4))
    server.restart()
    sender.join()
    assert len(sent) == count
    return sent


def test_a_worker_stopped_beyond_its_lease_is_refused_its_result_and_goes_on_with_other_jobs(
    server: Server, callers: Callers, crew: Crew, tell: Tell
) -> None:
    zombie = crew.hire()
    job_id = callers.send(prompt="1000")
    eventually(lambda: crew.begun() == [(job_id, zombie)], 20, "the first worker has begun")
    crew.signal(zombie, signal.SIGSTOP)
    other = crew.hire()

    eventually(lambda: callers.look([job_id])[0].status == "completed", 20, "the second worker has finished")
    crew.signal(zombie, signal.SIGCONT)
    eventually(lambda: '"outcome":"lost"' in crew.said(), 10, f"the first worker is told so; log:\n{crew.said()}")

    assert callers.look([job_id])[0].attempts == 2
    assert result(callers, job_id) == {"pid": other}
    assert server.final_writes() == {job_id: 1}
    crew.dismiss(other)
    assert works_the_next(callers, [callers.send() for _ in range(5)]) == {zombie}
    tell(f"worker stopped for longer than its lease of {LEASE_SECONDS} s: refused, and worked 5 jobs more")


def works_the_next(callers: Callers, ids: Sequence[str]) -> set[int]:
    """The processes that worked these jobs, once they are done."""
    eventually(lambda: {job.status for job in callers.look(ids)} == {"completed"}, 20, "the next jobs are done")
    return {result(callers, job_id)["pid"] for job_id in ids}


def result(callers: Callers, job_id: str) -> Any:
    job = callers.side.look("alice", job_id)
    assert job is not None
    return job.result
