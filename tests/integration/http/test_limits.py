"""Open jobs, the queue's size, and what all limits have in common: who is held back, and that nothing is stored."""

import json
from contextlib import closing
from copy import replace
from typing import Any

import pytest
import redis

from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.redis_client import RedisClient, connect
from tests.conftest import CLIENT_ID, MakeToken, Router
from tests.integration.answers import QUEUE_FULL, QUOTA_EXCEEDED, TOO_MANY_OPEN, TOO_MUCH_STORED, assert_held_back
from tests.integration.conftest import BuildRouter
from tests.integration.in_redis import KEYS, QUEUE, everything, expire, stored_jobs
from tests.integration.submissions import WIDE, submit_one
from tests.integration.worker.worker_hand import begin_job, finish_job
from tests.patience import eventually

# Open jobs


@pytest.fixture
def capped(build_router: BuildRouter) -> Router:
    """At most two unfinished jobs a caller."""
    return build_router(ROUTER_OPEN_JOBS_CAP="2")


def test_a_job_over_the_open_jobs_cap_is_429(capped: Router, generate: dict[str, Any], db: redis.Redis):
    replies = [capped.post("/v1/jobs", generate) for _ in range(3)]
    assert [reply.status for reply in replies] == [202, 202, 429]
    problem = assert_held_back(replies[2], 429, TOO_MANY_OPEN)
    assert problem["violated-policies"] == ["open-jobs"]
    assert "2 open jobs" in problem["detail"]
    assert stored_jobs(db) == 2


@pytest.mark.parametrize(
    ("service_ms", "wait"), [(None, "1"), ("300", "1"), ("12001", "13"), ("1000000", "120")],
    ids=["nothing measured", "quick jobs", "slow jobs", "very slow jobs"],
)  # fmt: skip
def test_the_wait_for_an_open_place_is_as_long_as_a_job_takes_but_two_minutes_at_most(
    capped: Router, generate: dict[str, Any], db: redis.Redis, service_ms: str | None, wait: str
):
    for _ in range(2):
        capped.post("/v1/jobs", generate)
    if service_ms is not None:
        db.hset(KEYS.flow, "service_ms", service_ms)
    assert capped.post("/v1/jobs", generate).headers["retry-after"] == wait


@pytest.mark.parametrize(
    "outcome", [{"result": "done"}, {"error": {"code": "no", "message": "No."}}], ids=["ok", "bad"]
)
def test_a_finished_job_frees_its_place(
    capped: Router, generate: dict[str, Any], redis_url: str, outcome: dict[str, Any]
):
    for _ in range(2):
        capped.post("/v1/jobs", generate)
    finish_job(redis_url, **outcome)
    assert [capped.post("/v1/jobs", generate).status for _ in range(2)] == [202, 429]


def test_a_cancelled_job_frees_its_place_once(capped: Router, generate: dict[str, Any]):
    first = capped.post("/v1/jobs", generate)
    capped.post("/v1/jobs", generate)
    for _ in range(3):
        capped.delete(first.headers["location"])
    assert [capped.post("/v1/jobs", generate).status for _ in range(2)] == [202, 429]


def test_a_job_at_work_keeps_its_place(capped: Router, generate: dict[str, Any], redis_url: str):
    for _ in range(2):
        capped.post("/v1/jobs", generate)
    begin_job(redis_url)
    assert capped.post("/v1/jobs", generate).status == 429


def test_a_job_that_nobody_started_frees_its_place_at_its_deadline(redis_url: str):
    policy = replace(WIDE, open_jobs_cap=1)
    with closing(connect(redis_url)) as connection:
        queue = JobQueue(RedisClient(lambda: connection), policy, [QUEUE])
        short = submit_one(queue, "alice", ttl_seconds=1)
        assert short.verdict == "accepted"
        assert submit_one(queue, "alice").verdict == "open"
        assert eventually(lambda: submit_one(queue, "alice").verdict == "accepted", seconds=5)
        job = queue.look("alice", short.job_id)
        assert job is not None
        assert job.status == "expired"


# Bytes stored


def test_whoever_submits_and_cancels_the_largest_metadata_is_429_at_the_cap(
    build_router: BuildRouter, make_token: MakeToken, generate: dict[str, Any], db: redis.Redis
):
    cap, before = 4 * 1024 * 1024, db.info("memory")["used_memory"]
    router = build_router(ROUTER_CALLER_BYTES_CAP=str(cap), ROUTER_RATE_PER_MINUTE="100000", ROUTER_RATE_BURST="1000")
    metadata = {f"{place:02}" + "\U0001f600" * 62: "\U0001f600" * 512 for place in range(16)}
    body = json.dumps(generate | {"metadata": metadata}, ensure_ascii=False).encode()
    for _ in range(cap // 37_000 + 1):
        reply = router.post("/v1/jobs", body)
        if reply.status != 202:
            break
        assert router.delete(reply.headers["location"]).json["status"] == "cancelled"
    problem = assert_held_back(reply, 429, TOO_MUCH_STORED)
    assert (problem["violated-policies"], reply.headers["retry-after"]) == (["stored-bytes"], "120")
    assert db.info("memory")["used_memory"] - before < 2 * cap
    assert router.as_caller(make_token("newcomer")).post("/v1/jobs", body).status == 202


# The queue


@pytest.fixture
def small(build_router: BuildRouter) -> Router:
    """A queue of three."""
    return build_router(ROUTER_QUEUE_CAP="3")


def test_a_job_over_the_queue_cap_is_503(small: Router, generate: dict[str, Any], db: redis.Redis):
    replies = [small.post("/v1/jobs", generate | {"priority": level}) for level in ("high", "normal", "low", "high")]
    assert [reply.status for reply in replies] == [202, 202, 202, 503]
    problem = assert_held_back(replies[3], 503, QUEUE_FULL)
    assert "violated-policies" not in problem
    assert replies[3].headers["retry-after"] == "30"
    assert stored_jobs(db) == 3


@pytest.mark.parametrize(
    ("service_ms", "slots", "age_ms", "wait"),
    [("12000", "4", 0, "3"), ("12000", "1", 0, "12"), ("100", "8", 0, "1"), ("1000000", "1", 0, "120"),
     ("12000", "4", 60_000, "30")],
    ids=["four at a time", "one at a time", "quick", "very slow", "no living worker"],
)  # fmt: skip
def test_the_wait_for_room_in_the_queue_is_how_fast_it_empties(
    small: Router, generate: dict[str, Any], db: redis.Redis, service_ms: str, slots: str, age_ms: int, wait: str
):
    for _ in range(3):
        small.post("/v1/jobs", generate)
    flow = {"service_ms": service_ms, "slots": slots, "slots_at": str(db.time()[0] * 1000 - age_ms)}
    db.hset(KEYS.flow, mapping=flow)
    assert small.post("/v1/jobs", generate).headers["retry-after"] == wait


def test_a_finished_job_makes_room(small: Router, generate: dict[str, Any], redis_url: str):
    for _ in range(3):
        small.post("/v1/jobs", generate)
    assert small.post("/v1/jobs", generate).status == 503
    finish_job(redis_url, result="done")
    assert [small.post("/v1/jobs", generate).status for _ in range(2)] == [202, 503]


def test_a_cancelled_job_makes_room(small: Router, generate: dict[str, Any]):
    locations = [small.post("/v1/jobs", generate).headers["location"] for _ in range(3)]
    small.delete(locations[1])
    assert [small.post("/v1/jobs", generate).status for _ in range(2)] == [202, 503]


def test_a_delayed_job_takes_room(small: Router, generate: dict[str, Any]):
    for delay in (60, 60, 0):
        assert small.post("/v1/jobs", generate | {"delay_seconds": delay}).status == 202
    assert small.post("/v1/jobs", generate).status == 503


def test_a_delayed_job_over_the_part_for_delayed_jobs_is_503(build_router: BuildRouter, generate: dict[str, Any]):
    router, delayed = build_router(ROUTER_QUEUE_CAP="3", ROUTER_DELAYED_PERCENT="34"), generate | {"delay_seconds": 60}
    replies = [router.post("/v1/jobs", body) for body in (delayed, delayed, delayed, generate)]
    assert [reply.status for reply in replies] == [202, 202, 503, 202]
    assert "delay" in assert_held_back(replies[2], 503, QUEUE_FULL)["detail"]
    assert replies[2].headers["retry-after"] == "30"


def test_a_callers_second_job_leaves_the_last_place_to_others(
    build_router: BuildRouter, make_token: MakeToken, generate: dict[str, Any]
):
    router = build_router(ROUTER_QUEUE_CAP="2", ROUTER_NEWCOMERS_PERCENT="50")
    assert [router.post("/v1/jobs", generate).status for _ in range(2)] == [202, 503]
    assert router.as_caller(make_token("newcomer")).post("/v1/jobs", generate).status == 202


def test_jobs_that_expired_give_their_places_back_within_the_request_that_needs_them(
    build_router: BuildRouter, generate: dict[str, Any], db: redis.Redis
):
    router = build_router(ROUTER_OPEN_JOBS_CAP="2")
    first = [router.post("/v1/jobs", generate).headers["location"] for _ in range(2)]
    for location in first:
        expire(db, location)
    assert [router.post("/v1/jobs", generate).status for _ in range(3)] == [202, 202, 429]
    assert [router.get(location).json["status"] for location in first] == ["expired"] * 2


def test_a_job_at_work_takes_room(small: Router, generate: dict[str, Any], redis_url: str):
    for _ in range(3):
        small.post("/v1/jobs", generate)
    begin_job(redis_url)
    assert small.post("/v1/jobs", generate).status == 503


def test_the_queue_cap_is_for_all_callers_together(small: Router, make_token: MakeToken, generate: dict[str, Any]):
    callers = [small.as_caller(make_token(name)) for name in ("a", "b", "c", "d")]
    assert [caller.post("/v1/jobs", generate).status for caller in callers] == [202, 202, 202, 503]


# For all of them


REFUSALS = {
    "rate": ({"ROUTER_RATE_PER_MINUTE": "1", "ROUTER_RATE_BURST": "2"}, 429),
    "open jobs": ({"ROUTER_OPEN_JOBS_CAP": "2"}, 429),
    "queue": ({"ROUTER_QUEUE_CAP": "2"}, 503),
}


@pytest.mark.parametrize(("variables", "status"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_job_that_is_held_back_changes_nothing_in_redis(
    build_router: BuildRouter, generate: dict[str, Any], db: redis.Redis, variables: dict[str, str], status: int
):
    router = build_router(**variables)
    for _ in range(2):
        assert router.post("/v1/jobs", generate).status == 202
    before = everything(db)
    for key in ("a", "b"):
        assert router.post("/v1/jobs", generate, headers={"Idempotency-Key": key}).status == status
    assert everything(db) == before


@pytest.mark.parametrize(("variables", "status"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_job_that_is_held_back_does_not_use_its_key_up(
    build_router: BuildRouter, generate: dict[str, Any], db: redis.Redis, variables: dict[str, str], status: int
):
    router = build_router(**variables)
    locations = [router.post("/v1/jobs", generate).headers["location"] for _ in range(2)]
    assert router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"}).status == status
    router.delete(locations[0])
    for key in db.scan_iter("*:rate:*"):
        db.delete(key)
    reply = router.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    assert reply.status == 202
    assert "idempotency-replayed" not in reply.headers


@pytest.mark.parametrize("variables", [REFUSALS["rate"][0], REFUSALS["open jobs"][0]], ids=["rate", "open jobs"])
def test_limits_are_each_callers_own(
    build_router: BuildRouter, make_token: MakeToken, generate: dict[str, Any], variables: dict[str, str]
):
    alice = build_router(**variables)
    bob = alice.as_caller(make_token("bob"))
    assert [alice.post("/v1/jobs", generate).status for _ in range(3)] == [202, 202, 429]
    assert [bob.post("/v1/jobs", generate).status for _ in range(3)] == [202, 202, 429]


def test_a_machine_is_limited_by_its_client_id(metered: Router, make_token: MakeToken, generate: dict[str, Any]):
    """Which Cognito writes into a machine's ``sub``."""
    machine = metered.as_caller(make_token(CLIENT_ID, username=None))
    assert [machine.post("/v1/jobs", generate).status for _ in range(6)] == [202] * 5 + [429]
    assert metered.post("/v1/jobs", generate).status == 202


def test_two_tokens_of_one_caller_share_one_limit(metered: Router, make_token: MakeToken, generate: dict[str, Any]):
    other = metered.as_caller(make_token("alice", jti="another"))
    statuses = [caller.post("/v1/jobs", generate).status for caller in (metered, other) * 3]
    assert statuses == [202] * 5 + [429]


def test_refusals_come_in_a_fixed_order(build_router: BuildRouter, generate: dict[str, Any], db: redis.Redis):
    """Over everything at once, a caller first hears of its own limits, then of the queue's."""
    everything_at_one = {"ROUTER_OPEN_JOBS_CAP": "1", "ROUTER_QUEUE_CAP": "1"}
    slow = build_router(ROUTER_RATE_PER_MINUTE="1", ROUTER_RATE_BURST="1", **everything_at_one)
    assert slow.post("/v1/jobs", generate).status == 202
    assert slow.post("/v1/jobs", generate).json["type"] == QUOTA_EXCEEDED
    for key in db.scan_iter("*:rate:*"):
        db.delete(key)
    quick = build_router(**everything_at_one)
    assert quick.post("/v1/jobs", generate).json["type"] == TOO_MANY_OPEN


def test_keys_of_limits_fade_when_they_no_longer_say_anything(
    metered: Router, generate: dict[str, Any], db: redis.Redis
):
    metered.post("/v1/jobs", generate)
    [rate] = db.scan_iter("*:rate:*")
    assert 0 < db.pttl(rate) <= 3_000
    owner = rate.rpartition(":")[2]
    for key in (KEYS.open_jobs(owner), KEYS.owner(owner)):
        assert db.pttl(key) > 0
