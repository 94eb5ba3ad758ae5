"""A ``maxmemory-policy`` that deletes jobs is said by readiness and by the worker's log."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
import redis

from lambda_router_worker.queue import eviction
from lambda_router_worker.queue.connection import connect
from tests.conftest import Router
from tests.integration.conftest import BuildRouter, Lines
from tests.integration.in_redis import QUEUE
from tests.integration.worker.worker_program import log_of, worker_process
from tests.patience import eventually, soon


@pytest.fixture
def evicting_db(own_db: redis.Redis) -> redis.Redis:
    own_db.config_set("maxmemory-policy", "allkeys-lru")
    return own_db


@pytest.fixture
def forbidden_url(own_db: redis.Redis, own_redis_url: str) -> Iterator[str]:
    """Of a user made before INFO was asked."""
    own_db.execute_command("ACL", "SETUSER", "old", "reset", "on", ">secret", "~lr:*", "+@all", "-info")
    return own_redis_url.replace("://", "://old:secret@")


def test_ready_is_503_and_says_so_when_redis_deletes_jobs(
    breakable: Router, evicting_db: redis.Redis, log_lines: Lines
) -> None:
    reply = breakable.get("/ready")
    assert reply.status == 503
    assert {name: part["ok"] for name, part in reply.json.items()} == {"redis": False, "jwks": True}
    assert "allkeys-lru" in reply.json["redis"]["reason"]
    assert "allkeys-lru" in log_lines()[-1]["reason"]


def test_ready_is_200_again_once_the_policy_is_mended(breakable: Router, evicting_db: redis.Redis) -> None:
    assert breakable.get("/ready").status == 503
    evicting_db.config_set("maxmemory-policy", "noeviction")
    assert breakable.get("/ready").status == 200


def test_readiness_asks_redis_once(breakable: Router, own_db: redis.Redis) -> None:
    breakable.get("/ready")
    own_db.config_resetstat()
    breakable.get("/ready")
    assert own_db.info("stats")["total_commands_processed"] == 3  # config, info; and info within the one script
    assert own_db.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


def test_a_user_that_may_not_ask_is_ready_and_told_what_it_lacks(
    build_router: BuildRouter, forbidden_url: str, log_lines: Lines
) -> None:
    """What nobody looked at is not known to be wrong."""
    reply = build_router(REDIS_URL=forbidden_url).get("/ready")
    assert (reply.status, reply.json["redis"]["ok"]) == (200, True)
    assert "+info" in reply.json["redis"]["reason"]
    assert "+info" in log_lines()[-1]["reason"]


def warnings(lines: Lines) -> list[str]:
    return [line["policy"] for line in lines() if line["message"] == "eviction" and line["level"] == "WARNING"]


def test_a_worker_warns_again_and_again_until_the_policy_is_mended(
    own_redis_url: str, evicting_db: redis.Redis, log_lines: Lines
) -> None:
    async def scenario() -> None:
        async with aclosing(connect(own_redis_url)) as client, eviction.watched(client, QUEUE, every_seconds=0.05):
            assert await soon(lambda: len(warnings(log_lines)) >= 3)
            evicting_db.config_set("maxmemory-policy", "noeviction")
            await asyncio.sleep(0.1)
            said = len(warnings(log_lines))
            await asyncio.sleep(0.3)
            assert len(warnings(log_lines)) == said

    asyncio.run(scenario())


def test_a_worker_that_may_not_ask_says_so_once(forbidden_url: str, log_lines: Lines) -> None:
    async def scenario() -> None:
        async with aclosing(connect(forbidden_url)) as client, eviction.watched(client, QUEUE, every_seconds=0.02):
            await asyncio.sleep(0.3)

    asyncio.run(scenario())
    assert warnings(log_lines) == ["unknown"]


def test_a_worker_process_warns_with_the_fix(tmp_path: Path, own_redis_url: str, evicting_db: redis.Redis) -> None:
    def said() -> list[str]:
        return [line["explanation"] for line in log_of(tmp_path) if line["message"] == "eviction"]

    with worker_process(tmp_path, own_redis_url, "--handler", "lambda_router_worker.demo:answer"):
        assert eventually(said, seconds=20)
    assert "noeviction" in said()[0]
