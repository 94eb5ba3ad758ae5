"""How little is asked of Redis."""

from typing import Any

import redis
from redis import Redis

from tests.conftest import Router
from tests.integration.conftest import BuildRouter
from tests.integration.in_redis import redis_url_of
from tests.job_ids import any_job_id


def commands(db: redis.Redis, action: Any) -> list[str]:
    """The commands that clients other than this one sent while the action ran, in order; not those inside scripts."""
    seen: list[str] = []
    db.ping()
    with Redis.from_url(redis_url_of(db)) as observer, observer.monitor() as monitor:
        action()
        db.echo("the end")
        while (command := monitor.next_command())["command"] != "ECHO the end":
            if command["client_type"] != "lua":
                seen.append(command["command"].split(" ")[0].upper())
    return seen


def test_a_submission_is_one_command(router: Router, generate: dict[str, Any], db: redis.Redis):
    router.post("/v1/jobs", generate)
    assert commands(db, lambda: router.post("/v1/jobs", generate)) == ["EVALSHA"]
    keyed = {"Idempotency-Key": "k"}
    assert commands(db, lambda: router.post("/v1/jobs", generate, headers=keyed)) == ["EVALSHA"]


def test_a_poll_is_one_command(router: Router, generate: dict[str, Any], db: redis.Redis):
    location = router.post("/v1/jobs", generate).headers["location"]
    router.get(location)
    assert commands(db, lambda: router.get(location)) == ["EVALSHA"]
    assert commands(db, lambda: router.get(f"/v1/jobs/{any_job_id()}")) == ["EVALSHA"]


def test_a_page_is_two_commands(router: Router, generate: dict[str, Any], db: redis.Redis):
    router.post("/v1/jobs", generate)
    router.get("/v1/jobs")
    for query in ({}, {"status": ["queued"]}, {"status": ["completed"]}):
        assert commands(db, lambda query=query: router.get("/v1/jobs", query=query)) == ["ZRANGE", "EVALSHA"]


def test_a_cancellation_is_one_command(router: Router, generate: dict[str, Any], db: redis.Redis):
    location = router.post("/v1/jobs", generate).headers["location"]
    router.get(location)
    assert commands(db, lambda: router.delete(location)) == ["EVALSHA"]


def test_what_is_refused_by_its_looks_costs_no_command(router: Router, generate: dict[str, Any], db: redis.Redis):
    router.post("/v1/jobs", generate)

    def refused() -> None:
        router.post("/v1/jobs", {})
        router.post("/v1/jobs", b"{")
        router.as_caller(None).post("/v1/jobs", generate)
        router.get("/v1/jobs/job_x")
        router.get("/v1/jobs", query={"limit": ["0"]})
        router.get("/health")

    assert commands(db, refused) == []


def test_a_first_request_spends_nothing_on_its_connection(
    build_router: BuildRouter, generate: dict[str, Any], db: redis.Redis, router: Router
):
    router.post("/v1/jobs", generate)
    fresh = build_router()
    assert commands(db, lambda: fresh.post("/v1/jobs", generate)) == ["EVALSHA"]


def test_a_process_keeps_one_connection(router: Router, generate: dict[str, Any], db: redis.Redis):
    before = len(db.client_list(_type="normal"))
    for _ in range(5):
        router.get(router.post("/v1/jobs", generate).headers["location"])
        router.get("/v1/jobs")
    assert len(db.client_list(_type="normal")) <= before + 1


def test_the_redis_commandstats_agree(router: Router, generate: dict[str, Any], db: redis.Redis):
    location = router.post("/v1/jobs", generate).headers["location"]
    router.get(location)
    db.config_resetstat()
    for _ in range(5):
        router.post("/v1/jobs", generate)
        router.get(location)
    stats = db.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 10
    assert not {name for name in stats if name in {"cmdstat_eval", "cmdstat_script|load", "cmdstat_hello"}}
