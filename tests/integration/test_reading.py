"""GET and DELETE: one job, the wait for it, the list, cancelling."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from chalicelib import wiring
from chalicelib.admission import Submission
from chalicelib.job_pages import MAX_SCANNED_JOBS, Cursor
from chalicelib.job_queue import new_job_id
from chalicelib.job_types import JOB_TYPES
from tests.conftest import LambdaContext, MakeToken, Reply, Router
from tests.integration.conftest import BuildRouter
from tests.integration.helpers import KEYS, QUEUE, begin_job, entries, everything, finish_job, stored_jobs

LONG_AGO = 1_700_000_000_000


def ids(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.body
    return [job["id"] for job in reply.json["data"]]


@pytest.fixture
def submitted(router: Router, generate: dict[str, Any]) -> Reply:
    """One job of alice's."""
    return router.post("/v1/jobs", generate)


@pytest.fixture
def location(submitted: Reply) -> str:
    return submitted.headers["location"]


@pytest.fixture
def bob(router: Router, make_token: MakeToken) -> Router:
    return router.as_caller(make_token("bob"))


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
    unknown = bob.call(method, f"/v1/jobs/{new_job_id()}")
    assert (foreign.status, unknown.status) == (404, 404)
    assert foreign.json | {"instance": ""} == unknown.json | {"instance": ""}
    assert foreign.headers.keys() == unknown.headers.keys()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "job_id",
    ["x", "job_", "job_" + "0" * 31, "job_" + "0" * 33, "job_" + "A" * 32, "job_" + "0" * 31 + "g", "JOB_" + "0" * 32,
     "job_" + "٠" * 32, "job_" + "0" * 32 + "\n", "*", "x" * 5_000, "lr:{tinyllama}:job:x", " "],
    ids=["word", "prefix", "short", "long", "capitals", "not hex", "capital prefix", "other digits", "line break",
         "star", "endless", "a key", "space"],
)  # fmt: skip
def test_a_malformed_id_is_404(router: Router, submitted: Reply, method: str, job_id: str):
    reply = router.call(method, f"/v1/jobs/{job_id}")
    assert reply.status == 404
    assert reply.json["type"] == "urn:problem-type:lambda-router:not-found"


def test_a_job_that_was_kept_its_time_is_404(router: Router, location: str, db: redis.Redis):
    db.pexpire(KEYS.job(location.rpartition("/")[2]), 0)
    assert router.get(location).status == 404


# ETag


def test_an_unchanged_job_is_304_to_who_has_it(router: Router, location: str):
    first = router.get(location)
    assert first.headers["etag"].startswith('"')
    again = router.get(location, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, "")
    assert again.headers["etag"] == first.headers["etag"]
    assert "content-type" not in again.headers


@pytest.mark.parametrize(
    "condition",
    ["{etag}", "W/{etag}", '"another", {etag}', '{etag},W/"x"', "*"],
    ids=["same", "weak", "second of two", "first of two", "any"],
)
def test_a_condition_that_names_the_job_as_it_is_gives_304(router: Router, location: str, condition: str):
    """RFC 9110 section 13.1.2: the comparison is weak, and ``*`` matches whatever exists."""
    etag = router.get(location).headers["etag"]
    assert router.get(location, headers={"If-None-Match": condition.format(etag=etag)}).status == 304


@pytest.mark.parametrize("condition", ['"another"', "", 'W/""', "x"])
def test_a_condition_that_names_something_else_gives_the_job(router: Router, location: str, condition: str):
    assert router.get(location, headers={"If-None-Match": condition}).status == 200


def test_a_changed_job_has_another_etag(router: Router, location: str, redis_url: str):
    queued = router.get(location)
    begin_job(redis_url)
    begun = router.get(location, headers={"If-None-Match": queued.headers["etag"]})
    assert begun.status == 200
    assert begun.headers["etag"] != queued.headers["etag"]


# Prefer: wait


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


@pytest.mark.parametrize("wait", ["abc", "-1", "1.5", "1e1", "", "0x5", "٥", "9999999999", "5s"])
def test_a_wait_that_is_no_whole_number_is_400(router: Router, location: str, wait: str):
    reply = router.get(location, headers={"Prefer": f"wait={wait}"})
    assert reply.status == 400
    assert "wait=10" in reply.json["detail"]


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
    assert router.get(f"/v1/jobs/{new_job_id()}", headers={"Prefer": "wait=20"}).status == 404
    assert time.monotonic() - started < 5


# Expiry


def expire(db: redis.Redis, location: str) -> None:
    """Let the job have waited past its deadline."""
    db.hset(KEYS.job(location.rpartition("/")[2]), "deadline_at", LONG_AGO)


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
    db.xgroup_create(KEYS.stream("normal"), "workers", id="0")
    db.xreadgroup("workers", "gone", {KEYS.stream("normal"): ">"})
    expire(db, location)
    router.get(location)
    assert db.xpending(KEYS.stream("normal"), "workers")["pending"] == 0
    assert stored_jobs(db) == 0


# Cancelling


def test_a_waiting_job_is_cancelled_and_leaves_the_queue(router: Router, location: str, db: redis.Redis):
    reply = router.delete(location)
    assert reply.status == 200
    job = reply.json
    assert (job["status"], job["attempts"], job["started_at"], job["result"]) == ("cancelled", 0, None, None)
    assert job["finished_at"] >= job["created_at"]
    assert stored_jobs(db) == 0
    assert router.get(location).json == job


def test_a_job_at_work_is_cancelled(router: Router, location: str, db: redis.Redis, redis_url: str):
    begin_job(redis_url)
    job = router.delete(location).json
    assert (job["status"], job["attempts"]) == ("cancelled", 1)
    assert stored_jobs(db) == 0
    assert db.xpending(KEYS.stream("normal"), "workers")["pending"] == 0


def test_cancelling_again_changes_nothing(router: Router, location: str, db: redis.Redis):
    first = router.delete(location)
    before = everything(db)
    second = router.delete(location)
    assert (second.status, second.json) == (200, first.json)
    assert everything(db) == before


@pytest.mark.parametrize(
    "outcome", [{"result": "done"}, {"error": {"code": "c", "message": "m"}}], ids=["completed", "failed"]
)
def test_cancelling_a_final_job_gives_it_as_it_is(
    router: Router, location: str, db: redis.Redis, redis_url: str, outcome: dict[str, Any]
):
    finish_job(redis_url, **outcome)
    job = router.get(location).json
    before = everything(db)
    reply = router.delete(location)
    assert (reply.status, reply.json) == (200, job)
    assert everything(db) == before


def test_nobody_cancels_a_foreign_job(router: Router, bob: Router, location: str, db: redis.Redis):
    before = everything(db)
    assert bob.delete(location).status == 404
    assert everything(db) == before
    assert router.get(location).json["status"] == "queued"


def test_cancelling_one_job_leaves_the_others(router: Router, generate: dict[str, Any], db: redis.Redis):
    replies = [router.post("/v1/jobs", generate) for _ in range(3)]
    router.delete(replies[1].headers["location"])
    assert [envelope["id"] for _, envelope in entries(db)] == [replies[0].json["id"], replies[2].json["id"]]


# The list


def submit_many(router: Router, count: int) -> list[str]:
    """Ids, newest first; each job in a millisecond of its own."""
    submitted = []
    for _ in range(count):
        submitted.append(router.post("/v1/jobs", {"type": "generate", "input": {"prompt": "x"}}).json["id"])
        time.sleep(0.001)
    return submitted[::-1]


def pages(router: Router, limit: int, **query: str) -> list[list[str]]:
    """Every page's ids, following the cursors."""
    found: list[list[str]] = []
    given = {name: [value] for name, value in query.items()} | {"limit": [str(limit)]}
    while len(found) < 100:
        reply = router.get("/v1/jobs", query=given)
        found.append(ids(reply))
        assert reply.json["has_more"] == (reply.json["next_cursor"] is not None)
        if not reply.json["has_more"]:
            return found
        given["cursor"] = [reply.json["next_cursor"]]
    raise AssertionError("the pages do not end")


def test_a_caller_without_jobs_has_an_empty_list(router: Router):
    reply = router.get("/v1/jobs")
    assert reply.json == {"object": "list", "data": [], "has_more": False, "next_cursor": None}


def test_jobs_are_listed_newest_first_and_whole(router: Router):
    newest_first = submit_many(router, 5)
    reply = router.get("/v1/jobs")
    assert ids(reply) == newest_first
    assert reply.json["data"] == [router.get(f"/v1/jobs/{job_id}").json for job_id in newest_first]
    assert (reply.json["has_more"], reply.json["next_cursor"]) == (False, None)


def test_a_page_has_twenty_jobs_unless_told_otherwise(router: Router):
    newest_first = submit_many(router, 21)
    reply = router.get("/v1/jobs")
    assert ids(reply) == newest_first[:20]
    assert reply.json["has_more"] is True
    assert ids(router.get("/v1/jobs", query={"limit": ["100"]})) == newest_first


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 7), (2, [2, 2, 2, 1]), (3, [3, 3, 1]), (7, [7]), (8, [7])])
def test_cursors_lead_through_all_jobs_once(router: Router, limit: int, sizes: list[int]):
    newest_first = submit_many(router, 7)
    found = pages(router, limit)
    assert [len(page) for page in found] == sizes
    assert [job_id for page in found for job_id in page] == newest_first


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_cursors_lead_through_jobs_of_one_millisecond(router: Router, db: redis.Redis, limit: int):
    newest_first = submit_many(router, 11)
    [owner_key] = db.scan_iter("*:owner:*")
    moment = db.zscore(owner_key, newest_first[5])
    assert moment is not None
    db.zadd(owner_key, dict.fromkeys(newest_first[2:9], moment))
    found = [job_id for page in pages(router, limit) for job_id in page]
    assert found == newest_first[:2] + sorted(newest_first[2:9], reverse=True) + newest_first[9:]


def test_jobs_that_arrive_meanwhile_do_not_shift_the_pages(router: Router):
    newest_first = submit_many(router, 4)
    first = router.get("/v1/jobs", query={"limit": ["2"]})
    submit_many(router, 3)
    second = router.get("/v1/jobs", query={"limit": ["2"], "cursor": [first.json["next_cursor"]]})
    assert ids(first) + ids(second) == newest_first


def test_a_cursor_is_good_though_its_job_is_gone(router: Router, db: redis.Redis):
    newest_first = submit_many(router, 4)
    first = router.get("/v1/jobs", query={"limit": ["2"]})
    db.delete(KEYS.job(newest_first[1]))
    db.zrem(next(db.scan_iter("*:owner:*")), newest_first[1])
    second = router.get("/v1/jobs", query={"limit": ["2"], "cursor": [first.json["next_cursor"]]})
    assert ids(second) == newest_first[2:]


@pytest.fixture
def one_of_each(router: Router, generate: dict[str, Any], redis_url: str, db: redis.Redis) -> dict[str, str]:
    """A job in every status; its id by status."""
    jobs = {}
    for status in ("completed", "failed", "in_progress", "cancelled", "expired", "queued"):
        reply = router.post("/v1/jobs", generate)
        jobs[status] = reply.json["id"]
        match status:
            case "completed":
                finish_job(redis_url, result=1)
            case "failed":
                finish_job(redis_url, error={"code": "c", "message": "m"})
            case "in_progress":
                begin_job(redis_url)
            case "cancelled":
                router.delete(reply.headers["location"])
            case "expired":
                expire(db, reply.headers["location"])
    return jobs


@pytest.mark.parametrize("status", ["queued", "in_progress", "completed", "failed", "cancelled", "expired"])
def test_a_list_can_be_of_one_status(router: Router, one_of_each: dict[str, str], status: str):
    reply = router.get("/v1/jobs", query={"status": [status]})
    assert ids(reply) == [one_of_each[status]]
    assert reply.json["data"][0]["status"] == status
    assert reply.json["has_more"] is False


def test_cursors_work_with_a_status(router: Router, generate: dict[str, Any]):
    newest_first = submit_many(router, 9)
    for job_id in newest_first[::2]:
        router.delete(f"/v1/jobs/{job_id}")
    assert [job_id for page in pages(router, 2, status="cancelled") for job_id in page] == newest_first[::2]
    assert [job_id for page in pages(router, 2, status="queued") for job_id in page] == newest_first[1::2]


def test_a_rare_status_is_found_behind_many_jobs(build_router: BuildRouter, redis_url: str, db: redis.Redis):
    """A page looks at a bounded number of jobs; its cursor goes on behind them."""
    router = build_router(ROUTER_OPEN_JOBS_CAP="10000")
    [oldest] = submit_many(router, 1)
    finish_job(redis_url, result="found")
    owner = next(db.scan_iter("*:owner:*")).rpartition(":")[2]
    request = JOB_TYPES["generate"].request_model.model_validate({"type": "generate", "input": {"prompt": "x"}})
    queue = wiring.services().queue
    for _ in range(MAX_SCANNED_JOBS + 5):
        queue.submit(Submission(new_job_id(), request, QUEUE, owner, "r", "t"))
    found = pages(router, 50, status="completed")
    assert [job_id for page in found for job_id in page] == [oldest]
    assert len(found) == 2


def test_every_parameter_together(router: Router):
    newest_first = submit_many(router, 5)
    first = router.get("/v1/jobs", query={"limit": ["2"], "status": ["queued"]})
    query = {"limit": ["2"], "status": ["queued"], "cursor": [first.json["next_cursor"]]}
    assert ids(router.get("/v1/jobs", query=query)) == newest_first[2:4]


BAD_QUERIES: dict[str, dict[str, list[str]]] = {
    "limit 0": {"limit": ["0"]},
    "limit 101": {"limit": ["101"]},
    "limit -1": {"limit": ["-1"]},
    "limit empty": {"limit": [""]},
    "limit word": {"limit": ["ten"]},
    "limit fraction": {"limit": ["2.0"]},
    "limit other digits": {"limit": ["٣"]},
    "limit endless": {"limit": ["9" * 5_000]},
    "limit twice": {"limit": ["1", "2"]},
    "status unknown": {"status": ["done"]},
    "status empty": {"status": [""]},
    "status capital": {"status": ["Queued"]},
    "status twice": {"status": ["queued", "failed"]},
    "cursor empty": {"cursor": [""]},
    "cursor word": {"cursor": ["next"]},
    "cursor not ASCII": {"cursor": ["ü"]},
    "cursor not base64": {"cursor": ["****"]},
    "cursor of something else": {"cursor": ["aGVsbG8"]},
    "cursor of a bad id": {"cursor": [Cursor(1, "job_x").encode()]},
    "cursor of no time": {"cursor": [Cursor(-1, "job_" + "0" * 32).encode()]},
    "cursor of all time": {"cursor": [Cursor(10**15, "job_" + "0" * 32).encode()]},
    "cursor and more": {"cursor": [Cursor(1, "job_" + "0" * 32).encode() + "AA"]},
    "cursor twice": {"cursor": [Cursor(1, "job_" + "0" * 32).encode()] * 2},
    "unknown": {"page": ["2"]},
    "unknown beside known": {"limit": ["1"], "offset": ["2"]},
}


@pytest.mark.parametrize("query", BAD_QUERIES.values(), ids=BAD_QUERIES.keys())
def test_a_query_that_cannot_be_read_is_400(router: Router, submitted: Reply, query: dict[str, list[str]]):
    reply = router.get("/v1/jobs", query=query)
    assert reply.status == 400, reply.body
    assert reply.json["type"] == "urn:problem-type:lambda-router:malformed-request"
    assert reply.json["detail"]
    assert len(reply.body) < 1_000


def test_other_callers_jobs_are_never_listed(router: Router, bob: Router):
    of_alice = submit_many(router, 3)
    of_bob = submit_many(bob, 2)
    assert ids(router.get("/v1/jobs")) == of_alice
    assert ids(bob.get("/v1/jobs")) == of_bob


def test_a_cursor_of_another_caller_shows_only_ones_own(router: Router, bob: Router):
    submit_many(router, 3)
    of_bob = submit_many(bob, 2)
    cursor = router.get("/v1/jobs", query={"limit": ["1"]}).json["next_cursor"]
    submit_many(router, 1)
    assert set(ids(bob.get("/v1/jobs", query={"cursor": [cursor]}))) <= set(of_bob)


def test_a_foreign_id_in_ones_list_stays_hidden(router: Router, bob: Router, db: redis.Redis):
    """Even a corrupted index shows nobody else's job: the record's owner decides."""
    [of_alice] = submit_many(router, 1)
    submit_many(bob, 1)
    for key in db.scan_iter("*:owner:*"):
        db.zadd(key, {of_alice: LONG_AGO})
    assert of_alice not in ids(bob.get("/v1/jobs"))
    assert of_alice in ids(router.get("/v1/jobs"))


def test_jobs_whose_records_are_gone_are_skipped(router: Router, db: redis.Redis):
    newest_first = submit_many(router, 6)
    for job_id in newest_first[::2]:
        db.delete(KEYS.job(job_id))
    assert [job_id for page in pages(router, 1) for job_id in page] == newest_first[1::2]


def test_a_callers_index_does_not_grow_for_ever(router: Router, db: redis.Redis):
    """Records expire; an active caller's index must let go of them too."""
    submit_many(router, 1)
    [owner_key] = db.scan_iter("*:owner:*")
    month_ago = db.time()[0] * 1000 - 30 * 86_400_000
    db.zadd(owner_key, {new_job_id(): month_ago + number for number in range(50)})
    submit_many(router, 1)
    pages(router, 20)
    assert db.zcard(owner_key) == 2


def test_a_page_of_large_results_fits_through_lambda(router: Router, redis_url: str):
    """Lambda passes back 6 MB at most: a page that is larger is a 502 to the caller, for good."""
    for _ in range(2):
        router.post("/v1/jobs", {"type": "generate", "input": {"prompt": "x"}})
        finish_job(redis_url, result="x" * (4 * 1024 * 1024 - 2))
    size = len(router.get("/v1/jobs").body.encode())
    assert size < 6_000_000
