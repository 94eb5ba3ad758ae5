"""How often a caller may send: who is held back, for how long, and what does not count."""

import re
import time
from contextlib import closing
from copy import replace
from typing import Any

import redis

from chalicelib import wiring
from chalicelib.jobs.admission import Decision
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.redis_client import RedisClient, connect
from chalicelib.limits import RatePolicy
from tests.conftest import Reply, Router
from tests.integration.answers import QUOTA_EXCEEDED, assert_held_back
from tests.integration.conftest import BuildRouter
from tests.integration.in_redis import QUEUE, stored_jobs
from tests.integration.submissions import WIDE, submit_one

RATE_HEADER = re.compile(r'"rate";r=(\d+);t=(\d+)')


def rate_state(reply: Reply) -> tuple[int, int]:
    match = RATE_HEADER.fullmatch(reply.headers["ratelimit"])
    assert match, reply.headers
    return int(match[1]), int(match[2])


def test_the_sixth_quick_job_of_a_burst_of_five_is_429(metered: Router, generate: dict[str, Any], db: redis.Redis):
    replies = [metered.post("/v1/jobs", generate) for _ in range(6)]
    assert [reply.status for reply in replies] == [202] * 5 + [429]
    problem = assert_held_back(replies[5], 429, QUOTA_EXCEEDED)
    assert problem["title"] == "Rate limit exceeded"
    assert problem["violated-policies"] == ["rate"]
    assert problem["detail"] == "You may send 20 jobs a minute, 5 of them at once."
    assert 1 <= int(replies[5].headers["retry-after"]) <= 3
    assert rate_state(replies[5])[0] == 0
    assert 12 < rate_state(replies[5])[1] <= 15
    assert stored_jobs(db) == 5


def test_the_default_rate_is_sixty_a_minute_and_twenty_at_once(
    environ: dict[str, str], router: Router, generate: dict[str, Any]
):
    defaults = {name: value for name, value in environ.items() if not name.startswith("ROUTER_RATE_")}
    with wiring.use(wiring.build(defaults)):
        reply = router.post("/v1/jobs", generate)
    assert reply.headers["ratelimit-policy"] == '"rate";q=60;w=60'
    assert rate_state(reply) == (19, 1)


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
        submit_one(queue, "somebody-else")  # the connection is made and the script is known
        decisions = _hammer(queue, seconds=0.6)
    accepted = [decision.created_at for decision in decisions if decision.verdict == "accepted"]
    spans = [(later - accepted[0], number) for number, later in enumerate(accepted)]
    assert all(number <= burst + span / interval_ms for span, number in spans)
    assert len(accepted) > burst + 5


def _hammer(queue: JobQueue, seconds: float) -> list[Decision]:
    until = time.monotonic() + seconds
    decisions = []
    while time.monotonic() < until:
        decisions.append(submit_one(queue, "eager"))
    return decisions


def test_the_wait_told_to_an_eager_caller_is_the_one_that_holds(redis_url: str):
    policy = replace(WIDE, rate=RatePolicy(120, 1))
    with closing(connect(redis_url)) as connection:
        queue = JobQueue(RedisClient(lambda: connection), policy, [QUEUE])
        submit_one(queue, "somebody-else")
        submit_one(queue, "eager")
        refused = submit_one(queue, "eager")
        assert refused.verdict == "rate"
        assert 0 < refused.wait_ms <= 500
        time.sleep((refused.wait_ms + 2) / 1000)
        assert submit_one(queue, "eager").verdict == "accepted"


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
