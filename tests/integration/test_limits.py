"""Rate, open jobs, queue size: who is held back, for how long, and that nothing is stored meanwhile."""

import re
import time
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
import redis

from chalicelib import wiring
from chalicelib.admission import Decision
from chalicelib.job_queue import JobQueue
from chalicelib.limits import RatePolicy
from chalicelib.redis_client import RedisClient, connect
from tests.conftest import MakeToken, Reply, Router
from tests.integration.conftest import BuildRouter
from tests.integration.in_redis import KEYS, QUEUE, everything, stored_jobs
from tests.integration.submissions import WIDE, new_job, submission
from tests.integration.worker_hand import begin_job, finish_job
from tests.patience import eventually

RATE_HEADER = re.compile(r'"rate";r=(\d+);t=(\d+)')


def rate_state(reply: Reply) -> tuple[int, int]:
    match = RATE_HEADER.fullmatch(reply.headers["ratelimit"])
    assert match, reply.headers
    return int(match[1]), int(match[2])


def assert_refused(reply: Reply, status: int, kind: str) -> dict[str, Any]:
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = reply.json
    assert problem["type"] == kind
    assert 1 <= int(reply.headers["retry-after"]) <= 120
    assert reply.headers["ratelimit-policy"].startswith('"rate";q=')
    return problem


QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
REDUCED_CAPACITY = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
TOO_MANY_OPEN = "urn:problem-type:lambda-router:too-many-open-jobs"


@pytest.fixture
def metered(build_router: BuildRouter) -> Router:
    """20 jobs a minute, 5 at once."""
    return build_router(ROUTER_RATE_PER_MINUTE="20", ROUTER_RATE_BURST="5")


# Rate


def test_the_sixth_quick_job_of_a_burst_of_five_is_429(metered: Router, generate: dict[str, Any], db: redis.Redis):
    replies = [metered.post("/v1/jobs", generate) for _ in range(6)]
    assert [reply.status for reply in replies] == [202] * 5 + [429]
    problem = assert_refused(replies[5], 429, QUOTA_EXCEEDED)
    assert problem["title"] == "Rate limit exceeded"
    assert problem["violated-policies"] == ["rate"]
    assert problem["detail"] == "You may send 20 jobs a minute, 5 of them at once."
    assert 1 <= int(replies[5].headers["retry-after"]) <= 3
    assert rate_state(replies[5])[0] == 0
    assert 12 < rate_state(replies[5])[1] <= 15
    assert stored_jobs(db) == 5


def test_the_default_rate_is_twenty_a_minute_and_five_at_once(
    environ: dict[str, str], router: Router, generate: dict[str, Any]
):
    defaults = {name: value for name, value in environ.items() if not name.startswith("ROUTER_RATE_")}
    with wiring.use(wiring.build(defaults)):
        reply = router.post("/v1/jobs", generate)
    assert reply.headers["ratelimit-policy"] == '"rate";q=20;w=60'
    assert rate_state(reply) == (4, 3)


def test_a_job_fits_again_after_retry_after(build_router: BuildRouter, generate: dict[str, Any]):
    router = build_router(ROUTER_RATE_PER_MINUTE="60", ROUTER_RATE_BURST="2")
    assert [router.post("/v1/jobs", generate).status for _ in range(2)] == [202, 202]
    refused = router.post("/v1/jobs", generate)
    assert refused.status == 429
    time.sleep(int(refused.headers["retry-after"]))
    accepted = router.post("/v1/jobs", generate)
    assert accepted.status == 202
    assert rate_state(accepted)[0] == 0


def test_over_time_a_caller_gets_its_rate_and_no_more(redis_url: str):
    interval_ms, burst = 20, 3
    policy = replace(WIDE, rate=RatePolicy(60_000 // interval_ms, burst))
    with closing(connect(redis_url)) as connection:
        queue = JobQueue(RedisClient(lambda: connection), policy, [QUEUE])
        submit(queue, "somebody-else")  # the connection is made and the script is known
        decisions = _hammer(queue, seconds=0.6)
    accepted = [decision.created_at for decision in decisions if decision.verdict == "accepted"]
    spans = [(later - accepted[0], number) for number, later in enumerate(accepted)]
    assert all(number <= burst + span / interval_ms for span, number in spans)
    assert len(accepted) > burst + 5


def _hammer(queue: JobQueue, seconds: float) -> list[Decision]:
    until = time.monotonic() + seconds
    decisions = []
    while time.monotonic() < until:
        decisions.append(submit(queue, "eager"))
    return decisions


def submit(queue: JobQueue, owner: str, **changes: Any) -> Decision:
    """What becomes of one job that skips the HTTP side."""
    [decision] = queue.submit(submission(new_job(**changes), owner=owner)).decisions
    return decision


def test_the_wait_told_to_an_eager_caller_is_the_one_that_holds(redis_url: str):
    policy = replace(WIDE, rate=RatePolicy(120, 1))
    with closing(connect(redis_url)) as connection:
        queue = JobQueue(RedisClient(lambda: connection), policy, [QUEUE])
        submit(queue, "somebody-else")
        submit(queue, "eager")
        refused = submit(queue, "eager")
        assert refused.verdict == "rate"
        assert 0 < refused.wait_ms <= 500
        time.sleep((refused.wait_ms + 2) / 1000)
        assert submit(queue, "eager").verdict == "accepted"


def test_a_caller_that_is_over_its_rate_is_told_before_its_job_is_counted(metered: Router, generate: dict[str, Any]):
    for _ in range(5):
        metered.post("/v1/jobs", generate)
    resets = [rate_state(metered.post("/v1/jobs", generate))[1] for _ in range(5)]
    assert max(resets) <= 15  # refusals do not push the caller further out


def test_reading_and_cancelling_cost_nothing(metered: Router, generate: dict[str, Any]):
    location = metered.post("/v1/jobs", generate).headers["location"]
    for _ in range(10):
        assert metered.get(location).status == 200
        assert metered.get("/v1/jobs").status == 200
        assert metered.delete(location).status == 200
    assert [metered.post("/v1/jobs", generate).status for _ in range(4)] == [202] * 4


def test_replays_are_not_rate_limited(metered: Router, generate: dict[str, Any]):
    replies = [metered.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"}) for _ in range(12)]
    assert {reply.status for reply in replies} == {202}
    assert {rate_state(reply)[0] for reply in replies} == {4}


def test_a_replay_is_answered_to_a_caller_that_is_over_its_rate(metered: Router, generate: dict[str, Any]):
    first = metered.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    while metered.post("/v1/jobs", generate).status == 202:
        pass
    replay = metered.post("/v1/jobs", generate, headers={"Idempotency-Key": "k"})
    assert (replay.status, replay.json["id"]) == (202, first.json["id"])
    assert rate_state(replay)[0] == 0


def test_a_refused_body_costs_nothing(metered: Router, generate: dict[str, Any]):
    for _ in range(10):
        assert metered.post("/v1/jobs", generate | {"priority": "urgent"}).status == 422
    assert rate_state(metered.post("/v1/jobs", generate))[0] == 4


# Open jobs


@pytest.fixture
def capped(build_router: BuildRouter) -> Router:
    """At most two unfinished jobs a caller."""
    return build_router(ROUTER_OPEN_JOBS_CAP="2")


def test_a_job_over_the_open_jobs_cap_is_429(capped: Router, generate: dict[str, Any], db: redis.Redis):
    replies = [capped.post("/v1/jobs", generate) for _ in range(3)]
    assert [reply.status for reply in replies] == [202, 202, 429]
    problem = assert_refused(replies[2], 429, TOO_MANY_OPEN)
    assert problem["violated-policies"] == ["open-jobs"]
    assert "2 unfinished jobs" in problem["detail"]
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
        short = submit(queue, "alice", ttl_seconds=1)
        assert short.verdict == "accepted"
        assert submit(queue, "alice").verdict == "open"
        assert eventually(lambda: submit(queue, "alice").verdict == "accepted", seconds=5)
        job = queue.look("alice", short.job_id)
        assert job is not None
        assert job.status == "expired"


# The queue


@pytest.fixture
def small(build_router: BuildRouter) -> Router:
    """A queue of three."""
    return build_router(ROUTER_QUEUE_CAP="3")


def test_a_job_over_the_queue_cap_is_503(small: Router, generate: dict[str, Any], db: redis.Redis):
    replies = [small.post("/v1/jobs", generate | {"priority": level}) for level in ("high", "normal", "low", "high")]
    assert [reply.status for reply in replies] == [202, 202, 202, 503]
    problem = assert_refused(replies[3], 503, REDUCED_CAPACITY)
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
    for _ in range(3):
        small.post("/v1/jobs", generate | {"delay_seconds": 60})
    assert small.post("/v1/jobs", generate).status == 503


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
    machine = metered.as_caller(make_token(None, username=None))
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


def test_a_callers_lists_outlive_its_jobs_though_the_second_was_empty_meanwhile(
    router: Router, generate: dict[str, Any], db: redis.Redis
):
    """The list of open jobs is gone with the last of them, and a new one has no end of its own."""
    first = router.post("/v1/jobs", generate | {"ttl_seconds": 86_400}).json["id"]
    router.delete(f"/v1/jobs/{first}")
    second = router.post("/v1/jobs", generate).json["id"]
    owner = db.hget(KEYS.job(second), "owner")
    life = db.pttl(KEYS.job(second))
    assert db.zcard(KEYS.open_jobs(owner)) == 1
    assert db.pttl(KEYS.owner(owner)) >= db.pttl(KEYS.open_jobs(owner)) >= life
    third = router.post("/v1/jobs", generate | {"ttl_seconds": 86_400}).json["id"]
    assert min(db.pttl(KEYS.owner(owner)), db.pttl(KEYS.open_jobs(owner))) >= db.pttl(KEYS.job(third))


def test_what_no_longer_counts_as_open_is_forgotten(router: Router, generate: dict[str, Any], db: redis.Redis):
    """A few times a day: whenever a job comes that lives longer than the list would."""
    first = router.post("/v1/jobs", generate).json["id"]
    owner = db.hget(KEYS.job(first), "owner")
    db.zadd(KEYS.open_jobs(owner), {first: 1})
    second = router.post("/v1/jobs", generate | {"ttl_seconds": 86_400}).json["id"]
    assert db.zrange(KEYS.open_jobs(owner), 0, -1) == [second]
