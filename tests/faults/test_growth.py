"""Jobs come and go, and Redis is as it was before."""

import asyncio
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from lambda_router_queue.queue_keys import GROUP
from lambda_router_worker.queue import connection
from lambda_router_worker.queue.job_lists import JobLists
from lambda_router_worker.queue.work_queue import Lease, WorkQueue
from tests import servers
from tests.faults.churn import FATES, OWNERS, PORTION, SHORT, come_and_go
from tests.faults.conftest import Tell
from tests.faults.kit import QUEUE, Callers, eventually, new_job, size

#: The keys that a queue has even when it is empty.
FIXED = {*QUEUE.streams, QUEUE.flow, QUEUE.workers, QUEUE.dead}
#: Of each caller; they outlive the last record by at most the time of a bucket (``life.lua``).
BOOKS = [QUEUE.stored_bytes(f"owner-{number}") for number in range(OWNERS)]
BUCKET_SECONDS = 600
#: What an empty queue may hold more than it did before, however many jobs came and went: the server's buffers.
MARGIN_BYTES = 128 * 1024
WARM_UP = 1_000
#: Commands that look at every key, at every member, or empty a database.
SWEEPING = {"keys", "scan", "sscan", "hscan", "zscan", "smembers", "randomkey", "sort", "flushdb", "flushall", "xtrim"}


@pytest.fixture
def url() -> Iterator[str]:
    """A Valkey of its own, so that memory and commands are these jobs' alone."""
    with servers.valkey() as server:
        yield f"redis://{server.host}:{server.port}/0"


@pytest.fixture
def db(url: str) -> Iterator[Any]:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        yield client


def memory(db: Any) -> int:
    """Bytes in use once the allocator has given back what it can, without the server's log of slow commands."""
    db.slowlog_reset()
    db.execute_command("MEMORY PURGE")
    return int(db.info("memory")["used_memory"])


def at_rest(db: Any) -> bool:
    """Nothing is left but the queue's own keys, and of each caller the books of bytes, which expire by themselves."""
    return bool(db.dbsize() - db.exists(*BOOKS) <= len(FIXED))


@pytest.mark.rehearsal
@pytest.mark.timeout(600)
def test_jobs_come_and_go_and_leave_no_key_and_no_memory_behind(url: str, db: Any, tell: Tell) -> None:
    count = size(2_000, 100_000)
    asyncio.run(come_and_go(url, WARM_UP))  # scripts, streams, tables, buffers
    eventually(lambda: at_rest(db), 90, "the first jobs are gone")
    before = memory(db)
    db.config_resetstat()

    ends = asyncio.run(come_and_go(url, count))

    eventually(lambda: at_rest(db), 90, f"all keys but the fixed ones are gone; {db.dbsize()} are left")
    used = {name.removeprefix("cmdstat_").partition("|")[0] for name in db.info("commandstats")}
    assert used.isdisjoint(SWEEPING)
    left = set(db.keys("*")) - FIXED
    assert left <= set(BOOKS)
    assert all(0 < db.ttl(name) <= BUCKET_SECONDS for name in left)
    assert sum(db.xlen(stream) for stream in QUEUE.streams) == 0
    hundreds = count // PORTION
    assert ends["done"] == hundreds * (FATES["completed"] + FATES["retried"] + FATES["delayed"])
    assert ends["dead"] == hundreds * FATES["given up on"]
    # Stored for a second only: on a slow machine an expired job's record may be gone before a worker meets the job.
    assert ends["expired"] + ends["gone"] == hundreds * FATES["expired"]
    after = memory(db)
    assert after - before < MARGIN_BYTES, f"{before} bytes before, {after} after"
    tell(f"jobs come and gone: {count} | keys: {db.dbsize()} | memory: {before} bytes before, {after} after")


def test_every_key_about_a_job_or_a_caller_expires_by_itself(url: str, db: Any) -> None:
    callers = Callers(url, SHORT)
    for owner in "abcdef":
        callers.send(owner, key="key")
    callers.send("g", key="key", delay_seconds=3600)
    asyncio.run(leave_in_every_state(url, callers))

    lasting = {key for key in db.keys("*") if db.pttl(key) == -1}

    callers.close()
    assert lasting <= FIXED | {QUEUE.scheduled, QUEUE.retrying}
    kinds = {key.split(":")[2] for key in db.keys("*")} - {key.split(":")[2] for key in lasting}
    assert kinds == {"job", "owner", "open", "bytes", "idem"}


async def leave_in_every_state(url: str, callers: Callers) -> None:
    """Of six waiting jobs: complete, fail, retry, give up, begin and cancel one each."""
    client = connection.connect(url)
    worker = WorkQueue(client, QUEUE.queue, "worker-1")
    await worker.prepare()
    claims = await worker.claim(6)
    leases = [await worker.start(claim, owner) for claim, owner in zip(claims, "abcdef", strict=True)]
    done, failed, retried, dead, _, cancelled = (lease for lease in leases if isinstance(lease, Lease))
    await worker.complete(done, "1")
    await worker.fail(failed, "{}")
    await worker.retry(retried, 60_000, 3, "busy", "Busy.")
    await worker.retry(dead, 0, 1, "busy", "Busy.")
    callers.side.cancel("f", cancelled.claim.job_id)
    await client.aclose()


def test_workers_that_die_leave_no_names_behind_once_tidied(url: str, db: Any) -> None:
    callers = Callers(url)

    async def die_often() -> None:
        client = connection.connect(url)
        for number in range(100):
            callers.send()
            worker = WorkQueue(client, QUEUE.queue, f"worker-{number}")
            await worker.prepare()
            (claim,) = await worker.claim(1)
            lease = await worker.start(claim, "alice")
            if isinstance(lease, Lease) and number:  # the first dies at work
                await worker.complete(lease, "1")
        assert names(db) > 50
        await worker.tidy(idle_ms=0)
        await client.aclose()

    asyncio.run(die_often())

    callers.close()
    assert names(db) == 1  # what the first holds is still to be reclaimed from it


def names(db: Any) -> int:
    return sum(len(db.xinfo_consumers(stream, GROUP)) for stream in QUEUE.streams)


def test_the_list_of_a_caller_that_never_stops_sending_forgets_jobs_that_are_long_gone(url: str, db: Any) -> None:
    callers = Callers(url, SHORT)
    a_month_ago = int(time.time() * 1000) - 30 * 86_400_000
    db.zadd(QUEUE.owner("alice"), {f"job_{number:032x}": a_month_ago for number in range(1_000)})

    job_id = callers.send()

    callers.close()
    assert db.zrange(QUEUE.owner("alice"), 0, -1) == [job_id]


def test_the_list_of_a_caller_whose_records_soon_go_holds_about_what_lives_and_all_of_it(url: str, db: Any) -> None:
    """Records that are kept stand before, between and behind those that go."""
    callers = Callers(url)
    owned = QUEUE.owner("alice")
    kept: set[str] = set()

    async def come_and_go_and_trim() -> None:
        client = connection.connect(url)
        lists = JobLists(WorkQueue(client, QUEUE.queue, "worker-1"), random.Random(1))
        for kept_of_fifty in [49] * 4 + [2] * 96:
            callers.submit([new_job() for _ in range(50)])
            newest = db.zrange(owned, -50, -1)
            kept.update(newest[:kept_of_fifty])
            db.delete(*(QUEUE.job(job_id) for job_id in newest[kept_of_fifty:]))
            for _ in newest:
                lists.met("alice")
            await lists.trim()
        await client.aclose()

    asyncio.run(come_and_go_and_trim())

    callers.close()
    listed = set(db.zrange(owned, 0, -1))
    assert len(kept) == 4 * 49 + 96 * 2
    assert kept <= listed
    assert len(listed) < 2 * len(kept), f"{len(listed)} of 5000 ids are listed"


def test_jobs_whose_records_expired_while_no_worker_ran_leave_no_phantoms_in_the_line(url: str, db: Any) -> None:
    callers = Callers(url, SHORT)
    gone = [callers.send(ttl_seconds=0) for _ in range(20)]
    eventually(lambda: not any(db.exists(QUEUE.job(job_id)) for job_id in gone), 10, "the records have expired")

    async def work_what_is_left() -> set[str]:
        client = connection.connect(url)
        worker = WorkQueue(client, QUEUE.queue, "worker-1")
        await worker.prepare()
        verdicts = {str(await worker.start(claim, "alice")) for claim in await worker.claim(100)}
        await client.aclose()
        return verdicts

    assert asyncio.run(work_what_is_left()) == {"gone"}

    counts = db.hgetall(QUEUE.flow)
    assert sum(int(count) for name, count in counts.items() if name.startswith("added:")) == 20
    assert sum(int(count) for name, count in counts.items() if name.startswith("left:")) == 20
    (job,) = callers.look([callers.send()])
    callers.close()
    assert job.position == 1
