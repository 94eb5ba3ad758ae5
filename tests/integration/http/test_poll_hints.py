"""Which responses about a job say when to poll again, and when that is."""

from typing import Any

import pytest
import redis

from lambda_router_queue.models import FINAL_STATUSES
from tests.conftest import Reply, Router
from tests.integration.conftest import BuildRouter
from tests.integration.in_redis import KEYS
from tests.integration.submissions import with_key
from tests.integration.worker.worker_hand import begin_job, finish_job


@pytest.fixture
def slow(router: Router, db: redis.Redis) -> Router:
    """The app with a worker that takes twelve seconds for a job."""
    now = db.time()[0] * 1000
    db.hset(KEYS.flow, mapping={"service_ms": "12000", "slots": "1", "slots_at": str(now)})
    return router


def hint(reply: Reply) -> str | None:
    return reply.headers.get("retry-after")


def test_a_waiting_job_is_polled_when_it_is_likely_to_be_done(slow: Router, generate: dict[str, Any]):
    for expected in ("12", "24"):
        reply = slow.post("/v1/jobs", generate)
        assert (hint(reply), hint(slow.get(reply.headers["location"]))) == (expected, expected)


def test_a_running_job_is_polled_when_the_rest_of_an_average_job_has_passed(
    slow: Router, location: str, redis_url: str, db: redis.Redis
):
    begin_job(redis_url)
    record = KEYS.job(location.rpartition("/")[2])
    seen = [hint(slow.get(location))]
    for seconds_ago in (8, 60, 600):
        db.hset(record, "attempt_at", str(db.time()[0] * 1000 - seconds_ago * 1000))
        seen.append(hint(slow.get(location)))
    assert seen[0] == "12"
    assert seen[1] in {"3", "4"}
    assert seen[2] in {"20", "21"}
    assert seen[3] == "30"


def test_a_delayed_job_is_not_polled_before_its_time(slow: Router, generate: dict[str, Any]):
    location = slow.post("/v1/jobs", generate | {"delay_seconds": 7}).headers["location"]
    assert hint(slow.get(location)) in {"18", "19"}


def test_head_and_304_say_the_same(slow: Router, location: str):
    reply = slow.get(location)
    unchanged = slow.get(location, headers={"If-None-Match": reply.headers["etag"]})
    assert (unchanged.status, hint(unchanged)) == (304, hint(reply))
    assert hint(slow.call("HEAD", location)) == hint(reply)


@pytest.mark.parametrize("end", ["cancelled", "completed"])
def test_a_final_job_is_not_polled(slow: Router, location: str, redis_url: str, end: str):
    if end == "cancelled":
        slow.delete(location)
    else:
        finish_job(redis_url, result="done")
    reply = slow.get(location)
    assert (reply.json["status"] in FINAL_STATUSES, hint(reply)) == (True, None)


def test_a_repeated_request_says_what_a_poll_would(slow: Router, generate: dict[str, Any], redis_url: str):
    for key, delay in (("k-1", 0), ("k-2", 7)):
        body = generate | ({"delay_seconds": delay} if delay else {})
        first, again = (slow.post("/v1/jobs", body, headers=with_key(key)) for _ in range(2))
        assert int(hint(again) or 0) in {int(hint(first) or 0), int(hint(first) or 0) - 1}
    finish_job(redis_url, result="done")
    final = slow.post("/v1/jobs", generate, headers=with_key("k-1"))
    assert (final.json["status"], hint(final)) == ("completed", None)


def test_a_response_that_was_held_leaves_open_what_its_caller_does_next(slow: Router, location: str):
    reply = slow.get(location, headers={"Prefer": "wait=1"})
    assert (reply.json["status"], reply.headers["preference-applied"], hint(reply)) == ("queued", "wait=1", None)


def test_a_wait_that_found_no_place_is_told_when_the_job_is_likely_to_be_done(
    slow: Router, build_router: BuildRouter, location: str
):
    unheld = build_router(ROUTER_CALLER_WAITS_CAP="0")
    reply = unheld.get(location, headers={"Prefer": "wait=20"})
    assert (reply.headers["preference-applied"], hint(reply)) == ("wait=0", "12")
