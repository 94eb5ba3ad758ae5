"""DELETE: what it stops, and what it leaves alone."""

from typing import Any

import pytest
import redis

from tests.conftest import Router
from tests.integration.in_redis import entries, everything, pending, stored_jobs
from tests.integration.worker.worker_hand import begin_job, finish_job


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
    assert pending(db) == []


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
