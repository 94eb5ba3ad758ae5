"""GET of a caller's jobs: pages, cursors, one status, nobody else's."""

import time
from typing import Any

import pytest
import redis

from chalicelib.jobs.job_pages import Cursor
from tests.conftest import Reply, Router
from tests.integration.answers import ids
from tests.integration.in_redis import KEYS, expire
from tests.integration.worker.worker_hand import begin_job, finish_job
from tests.job_ids import any_job_id


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
    assert reply.json == {"object": "list", "data": [], "has_more": False, "next_cursor": None, "stopped_early": False}


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
    "limit other digits": {"limit": ["\u0663"]},
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
        db.zadd(key, {of_alice: 1_700_000_000_000})
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
    db.zadd(owner_key, {any_job_id(): month_ago + number for number in range(50)})
    db.expire(owner_key, 60)  # it is trimmed when its life has to be prolonged: a few times a day
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
