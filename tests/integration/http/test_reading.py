"""GET of one job: as it stands, the wait for it, what has expired."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from copy import replace
from typing import Any

import pytest
import redis

from chalicelib import wiring
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.redis_client import RedisClient, connect
from chalicelib.wiring import Services
from lambda_router_queue.queue_keys import GROUP
from tests.conftest import LambdaContext, Reply, Router
from tests.integration.in_redis import KEYS, expire, pending, stored_jobs
from tests.integration.worker.worker_hand import begin_job, finish_job
from tests.job_ids import any_job_id

# One job


def test_a_caller_reads_its_job(router: Router, submitted: Reply):
    reply = router.get(submitted.headers["location"])
    assert reply.status == 200
    assert reply.json == submitted.json
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"


def test_a_job_at_work_tells_since_when_and_how_often_it_was_begun(router: Router, location: str, redis_url: str):
    begin_job(redis_url)
    job = router.get(location).json
    assert (job["status"], job["attempts"], job["finished_at"], job["result"]) == ("in_progress", 1, None, None)
    assert job["created_at"] <= job["started_at"] < job["expires_at"]


RESULTS: dict[str, Any] = {
    "completion": {"text": "Grüße 東京 🗼", "finish_reason": "stop", "usage": {"total_tokens": 3}},
    "text": "plain",
    "nothing": None,
    "list": [1, 2.5, True, None, {"a": []}],
    "large number": 2**70,
}


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS.keys())
def test_a_completed_job_carries_its_result_as_the_worker_wrote_it(
    router: Router, location: str, redis_url: str, result: Any
):
    finish_job(redis_url, result=result)
    job = router.get(location).json
    assert (job["status"], job["error"], job["attempts"]) == ("completed", None, 1)
    assert job["result"] == result
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]


def test_a_failed_job_carries_its_error(router: Router, location: str, redis_url: str):
    finish_job(redis_url, error={"code": "context_too_long", "message": "Send less."})
    job = router.get(location).json
    assert (job["status"], job["result"]) == ("failed", None)
    assert job["error"] == {"code": "context_too_long", "message": "Send less."}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_somebody_elses_job_is_404_like_one_that_never_was(bob: Router, submitted: Reply, method: str):
    foreign = bob.call(method, submitted.headers["location"])
    unknown = bob.call(method, f"/v1/jobs/{any_job_id()}")
    assert (foreign.status, unknown.status) == (404, 404)
    assert foreign.json | {"instance": ""} == unknown.json | {"instance": ""}
    assert foreign.headers.keys() == unknown.headers.keys()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "job_id",
    ["x", "job_", "job_" + "0" * 31, "job_" + "0" * 33, "job_" + "A" * 32, "job_" + "0" * 31 + "g", "JOB_" + "0" * 32,
     "job_" + "\u0660" * 32, "*", "x" * 5_000, "lr:{tinyllama}:job:x", " "],
    ids=["word", "prefix", "short", "long", "capitals", "not hex", "capital prefix", "other digits",
         "star", "endless", "a key", "space"],
)  # fmt: skip
def test_a_malformed_id_is_404(router: Router, submitted: Reply, method: str, job_id: str):
    reply = router.call(method, f"/v1/jobs/{job_id}")
    assert reply.status == 404
    assert reply.json["type"] == "urn:problem-type:lambda-router:not-found"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_id_with_a_line_break_is_400_since_no_path_has_one(router: Router, submitted: Reply, method: str):
    # It would come back in a header; callers' %0A reaches the path as that.
    assert router.call(method, "/v1/jobs/job_" + "0" * 32 + "\n").status == 400


def test_a_job_that_was_kept_its_time_is_404(router: Router, location: str, db: redis.Redis):
    db.pexpire(KEYS.job(location.rpartition("/")[2]), 0)
    assert router.get(location).status == 404


# ETag


def test_an_unchanged_job_is_304_to_who_has_it(router: Router, location: str):
    first = router.get(location)
    assert first.headers["etag"].startswith('W/"')
    again = router.get(location, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, "")
    assert again.headers["etag"] == first.headers["etag"]
    assert "content-type" not in again.headers


@pytest.mark.parametrize(
    "condition",
    ["{etag}", "{strong}", '"another", {etag}', '{etag},W/"x"', "*"],
    ids=["same", "strong", "second of two", "first of two", "any"],
)
def test_a_condition_that_names_the_job_as_it_is_gives_304(router: Router, location: str, condition: str):
    """RFC 9110 section 13.1.2: the comparison is weak, and ``*`` matches whatever exists."""
    etag = router.get(location).headers["etag"]
    assert (
        router.get(
            location, headers={"If-None-Match": condition.format(etag=etag, strong=etag.removeprefix("W/"))}
        ).status
        == 304
    )


@pytest.mark.parametrize("condition", ['"another"', "", 'W/""', "x"])
def test_a_condition_that_names_something_else_gives_the_job(router: Router, location: str, condition: str):
    assert router.get(location, headers={"If-None-Match": condition}).status == 200


def test_an_estimate_that_moved_is_no_change(router: Router, location: str, db: redis.Redis):
    """It moves with every look: who polls a waiting job would never get a 304."""
    db.hset(KEYS.flow, mapping={"service_ms": "9000", "slots": "1", "slots_at": str(db.time()[0] * 1000)})
    first = router.get(location)
    time.sleep(0.01)
    second = router.get(location)
    assert second.json["estimated_start_at"] > first.json["estimated_start_at"]
    assert second.headers["etag"] == first.headers["etag"]
    assert router.get(location, headers={"If-None-Match": first.headers["etag"]}).status == 304


def test_a_changed_job_has_another_etag(router: Router, location: str, redis_url: str):
    queued = router.get(location)
    begin_job(redis_url)
    begun = router.get(location, headers={"If-None-Match": queued.headers["etag"]})
    assert begun.status == 200
    assert begun.headers["etag"] != queued.headers["etag"]


# Waiting for a job


@contextmanager
def meanwhile(action: Any, after: float) -> Iterator[None]:
    """Does something in the background a little later."""
    thread = threading.Timer(after, action)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_a_wait_ends_when_the_job_is_final(router: Router, location: str, redis_url: str):
    with meanwhile(lambda: finish_job(redis_url, result="done"), after=0.2):
        started = time.monotonic()
        reply = router.get(location, headers={"Prefer": "wait=10"})
        took = time.monotonic() - started
    assert reply.json["status"] == "completed"
    assert reply.headers["preference-applied"] == "wait=10"
    assert took < 5


@pytest.mark.parametrize("finish", ["completed", "failed", "cancelled"])
def test_a_wait_for_a_final_job_is_no_wait(router: Router, location: str, redis_url: str, finish: str):
    if finish == "cancelled":
        router.delete(location)
    else:
        finish_job(redis_url, **({"result": 1} if finish == "completed" else {"error": {"code": "c", "message": "m"}}))
    started = time.monotonic()
    reply = router.get(location, headers={"Prefer": "wait=20"})
    assert reply.json["status"] == finish
    assert time.monotonic() - started < 5


def test_a_wait_ends_when_its_time_is_up(router: Router, location: str):
    started = time.monotonic()
    reply = router.get(location, headers={"Prefer": "wait=1"})
    assert time.monotonic() - started >= 1
    assert (reply.status, reply.json["status"]) == (200, "queued")
    assert reply.headers["preference-applied"] == "wait=1"


def test_a_wait_ends_when_the_job_expires(router: Router, location: str, db: redis.Redis):
    job_id = location.rpartition("/")[2]
    seconds, _ = db.time()
    db.hset(KEYS.job(job_id), "deadline_at", (seconds + 1) * 1000)
    assert router.get(location, headers={"Prefer": "wait=10"}).json["status"] == "expired"


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [("wait=21", "wait=20"), ("wait=999999999", "wait=20"), ("wait=20", "wait=20"), ("wait=0", "wait=0"),
     ('wait="5"', "wait=5"), ("Wait = 5", "wait=5"), ("respond-async, wait=5", "wait=5"), ("wait=5; x=y", "wait=5"),
     (["respond-async", "wait=5"], "wait=5"), ("wait=5, wait=7", "wait=5")],
    ids=["21", "endless", "20", "0", "quoted", "spaced", "second", "parameter", "second header", "twice"],
)  # fmt: skip
def test_the_wait_that_was_granted_is_told(router: Router, location: str, prefer: str | list[str], applied: str):
    router.delete(location)  # final: nothing to wait for
    assert router.get(location, headers={"Prefer": prefer}).headers["preference-applied"] == applied


@pytest.mark.parametrize("prefer", [None, "", "respond-async", "return=minimal", "waiting=5", "handling=lenient"])
def test_other_preferences_are_ignored(router: Router, location: str, prefer: str | None):
    reply = router.get(location, headers={"Prefer": prefer})
    assert reply.status == 200
    assert "preference-applied" not in reply.headers


@pytest.mark.parametrize("wait", ["abc", "-1", "1.5", "1e1", "", "0x5", "\u0665", "9999999999", "5s"])
def test_a_wait_that_is_no_whole_number_is_ignored(router: Router, location: str, wait: str):
    reply = router.get(location, headers={"Prefer": f"wait={wait}"})
    assert reply.status == 200
    assert "preference-applied" not in reply.headers


def test_a_wait_stops_before_lambda_runs_out_of_time(router: Router, location: str):
    started = time.monotonic()
    reply = router.get(location, headers={"Prefer": "wait=20"}, context=LambdaContext(remaining_ms=2_300))
    took = time.monotonic() - started
    assert (reply.status, reply.json["status"]) == (200, "queued")
    assert 0.3 <= took < 2.3


def test_a_wait_with_no_time_left_answers_at_once(router: Router, location: str):
    reply = router.get(location, headers={"Prefer": "wait=20"}, context=LambdaContext(remaining_ms=900))
    assert (reply.status, reply.json["status"]) == (200, "queued")


def test_a_wait_for_an_unknown_job_is_404_at_once(router: Router):
    started = time.monotonic()
    assert router.get(f"/v1/jobs/{any_job_id()}", headers={"Prefer": "wait=20"}).status == 404
    assert time.monotonic() - started < 5


# Expiry


def test_a_job_that_waited_too_long_is_expired_and_leaves_the_queue(router: Router, location: str, db: redis.Redis):
    expire(db, location)
    job = router.get(location).json
    assert (job["status"], job["attempts"], job["started_at"], job["error"]) == ("expired", 0, None, None)
    assert job["finished_at"] == job["expires_at"]
    assert stored_jobs(db) == 0
    assert db.zcard(next(db.scan_iter("*:open:*"), "none")) == 0


def test_an_expired_job_stays_expired(router: Router, location: str, db: redis.Redis):
    expire(db, location)
    seen = [router.get(location).json, router.delete(location).json, router.get(location).json]
    assert [job["status"] for job in seen] == ["expired"] * 3
    assert seen[0] == seen[1] == seen[2]


def test_a_list_shows_expired_jobs_as_expired(router: Router, location: str, db: redis.Redis):
    expire(db, location)
    assert router.get("/v1/jobs", query={"status": ["queued"]}).json["data"] == []
    assert [job["status"] for job in router.get("/v1/jobs").json["data"]] == ["expired"]
    assert stored_jobs(db) == 0


def test_a_job_at_work_does_not_expire(router: Router, location: str, db: redis.Redis, redis_url: str):
    begin_job(redis_url)
    expire(db, location)
    assert router.get(location).json["status"] == "in_progress"


def test_a_pending_entry_of_an_expired_job_is_acknowledged(
    router: Router, location: str, db: redis.Redis, redis_url: str
):
    """A worker claimed it and died before it started it."""
    db.xgroup_create(KEYS.stream("normal", 0), GROUP, id="0")
    db.xreadgroup(GROUP, "gone", {KEYS.stream("normal", 0): ">"})
    assert len(pending(db)) == 1
    expire(db, location)
    router.get(location)
    assert pending(db) == []
    assert stored_jobs(db) == 0


def test_a_job_is_found_in_any_queue(services: Services, redis_url: str, generate: dict[str, Any], router: Router):
    """Job types may name queues of their own; a caller asks by id only."""
    job = router.post("/v1/jobs", generate).json
    finish_job(redis_url, result=1)
    with closing(connect(redis_url)) as connection:
        queue = JobQueue(RedisClient(lambda: connection), services.queue._policy, ["another", "tinyllama"])
        with wiring.use(replace(services, queue=queue)):
            assert router.get(f"/v1/jobs/{job['id']}").json["status"] == "completed"
            assert router.get(f"/v1/jobs/{any_job_id()}").status == 404
            assert [found["id"] for found in router.get("/v1/jobs").json["data"]] == [job["id"]]


def test_the_etag_of_a_waiting_job_stands_while_only_its_estimate_moves(router: Router, location: str, db: redis.Redis):
    now = db.time()[0] * 1000
    db.hset(KEYS.flow, mapping={"slots": 1, "slots_at": now, "service_ms": "5000"})
    first = router.get(location)
    time.sleep(0.01)
    again = router.get(location)
    assert first.json["estimated_start_at"] != again.json["estimated_start_at"]
    assert first.headers["etag"] == again.headers["etag"]
