"""Both sides know whether Redis deletes jobs when its memory is full, on every engine."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest
import redis

from lambda_router_worker.queue import connection, eviction
from tests.protocol.conftest import QUEUE, Callers

EVICTING = ["allkeys-lru", "volatile-lru", "allkeys-random", "volatile-ttl"]


@pytest.fixture
def nodes(db: Any) -> Iterator[dict[str, Any]]:
    """The node that has the queue, and another one where there is any."""
    if isinstance(db, redis.RedisCluster):
        mine = db.get_node_from_key(QUEUE.flow)
        others = [node for node in db.get_primaries() if node.name != mine.name]
        clients = {"queue's": db.get_redis_connection(mine), "another": db.get_redis_connection(others[0])}
    else:
        clients = {"queue's": db}
    yield clients
    for client in clients.values():
        client.config_set("maxmemory-policy", "noeviction")


def seen_by_worker(url: str) -> str | None:
    async def look() -> str | None:
        async with aclosing(connection.connect(url)) as client:
            return await eviction.evicts(client, QUEUE.queue)

    return asyncio.run(look())


def test_noeviction_is_safe(queue: Callers, engine_url: str) -> None:
    assert queue.side.eviction_policy() == "noeviction"
    assert seen_by_worker(engine_url) is None


@pytest.mark.parametrize("policy", EVICTING)
def test_a_policy_that_deletes_keys_is_seen(
    queue: Callers, engine_url: str, nodes: dict[str, Any], policy: str
) -> None:
    nodes["queue's"].config_set("maxmemory-policy", policy)

    assert queue.side.eviction_policy() == policy
    assert seen_by_worker(engine_url) == policy


def test_the_node_that_has_the_queue_is_asked(queue: Callers, engine_url: str, nodes: dict[str, Any]) -> None:
    if "another" not in nodes:
        pytest.skip("not a cluster")
    nodes["another"].config_set("maxmemory-policy", "allkeys-lru")

    assert queue.side.eviction_policy() == "noeviction"
    assert seen_by_worker(engine_url) is None


def test_the_policy_is_seen_while_memory_is_full(queue: Callers, engine_url: str, nodes: dict[str, Any]) -> None:
    server = nodes["queue's"]
    server.config_set("maxmemory-policy", "volatile-lru")
    server.config_set("maxmemory", 1)
    try:
        assert queue.side.eviction_policy() == "volatile-lru"
        assert seen_by_worker(engine_url) == "volatile-lru"
    finally:
        server.config_set("maxmemory", 0)
