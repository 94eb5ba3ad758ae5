"""A consumer at work finds entries that nobody can read, or that a newer or older router wrote."""

import asyncio
import json
from typing import Any

import pytest
import redis

from lambda_router_queue.models import Envelope, RetryPolicy
from tests.integration.conftest import Lines, ReadJob, Submit
from tests.integration.in_redis import KEYS, dead_letters, pending, stored_jobs, stream_of
from tests.integration.worker.worker_hand import working
from tests.integration.worker.worker_side import is_final, upper, work_all
from tests.patience import soon

STRANGE_ENTRIES: dict[str, dict[str, str]] = {
    "not JSON": {"id": "job_x", "job": "not json"},
    "no envelope": {"id": "job_x"},
    "no id": {"job": "{}"},
    "another entry": {"colour": "red"},
    "empty envelope": {"id": "job_x", "job": "{}"},
    "too deep": {"id": "job_x", "job": "[" * 100_000},
    "another protocol version": {"id": "job_x", "job": json.dumps({"v": 2, "id": "job_x"})},
}


def assert_put_away(db: redis.Redis, fields: dict[str, str]) -> None:
    """What a stranger put there is kept where an operator finds it, as far as there is a job in it."""
    assert stored_jobs(db) == 0
    assert pending(db) == []
    kept = [(letter["id"], letter["job"], letter["code"]) for letter in dead_letters(db)]
    assert kept == ([(fields.get("id", ""), fields["job"], "unreadable")] if "job" in fields else [])


@pytest.mark.parametrize("fields", STRANGE_ENTRIES.values(), ids=STRANGE_ENTRIES.keys())
def test_an_entry_that_cannot_be_read_does_not_stop_the_worker_that_finds_it(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, fields: dict[str, str]
):
    db.xadd(KEYS.stream("high", 0), fields)
    job_id = submit("after")
    work_all(redis_url, upper, lambda: is_final(read, job_id)() and stored_jobs(db) == 0, seconds=3)
    assert read(job_id)["status"] == "completed"
    assert_put_away(db, fields)


@pytest.mark.parametrize("fields", STRANGE_ENTRIES.values(), ids=STRANGE_ENTRIES.keys())
def test_an_entry_that_cannot_be_read_does_not_stop_the_worker_that_waits_for_it(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, fields: dict[str, str]
):
    async def scenario() -> str:
        async with working(redis_url, upper):
            assert await soon(lambda: db.info("clients")["blocked_clients"] == 1)
            db.xadd(KEYS.stream("low", 0), fields)
            job_id = submit("after")
            assert await soon(lambda: is_final(read, job_id)() and stored_jobs(db) == 0, seconds=3)
            return job_id

    assert read(asyncio.run(scenario()))["status"] == "completed"
    assert_put_away(db, fields)


def rewrite(db: redis.Redis, job_id: str, **members: Any) -> None:
    """Let the job's envelope say something else."""
    stream = stream_of(db, job_id)
    [(entry_id, fields)] = db.xrange(stream)
    db.xdel(stream, entry_id)
    fields["job"] = json.dumps(json.loads(fields["job"]) | members)
    db.hset(KEYS.job(job_id), "stream_id", db.xadd(stream, fields))


UNREADABLE: dict[str, dict[str, Any]] = {
    "newer protocol": {"v": 2},
    "another job's": {"id": "job_" + "0" * 32},
    "strange priority": {"priority": "urgent"},
    "no time at all": {"timeout_ms": 0},
    "no tries": {"retry": {"attempts": 0}},
    "input is no object": {"input": "hello"},
}


@pytest.mark.parametrize("members", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_job_that_no_worker_can_read_is_not_worked_and_its_caller_is_told(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, log_lines: Lines, members: dict[str, Any]
):
    """``models.PROTOCOL_VERSION``: a worker refuses a version that it does not know."""
    handled: list[str] = []

    async def handler(job: Envelope) -> Any:
        handled.append(job.id)

    unreadable = submit("a prompt for nobody's log")
    rewrite(db, unreadable, **members)
    known = submit()
    work_all(redis_url, handler, is_final(read, unreadable, known))
    assert handled == [known]
    job = read(unreadable)
    assert (job["status"], job["attempts"]) == ("failed", 0)
    assert job["error"] == {"code": "unreadable", "message": "No worker could read this job."}
    [letter] = dead_letters(db)
    assert (letter["id"], letter["attempts"]) == (unreadable, "0")
    assert members.items() <= json.loads(letter["job"]).items()
    [owner_key] = db.scan_iter("*:owner:*")
    assert db.zcard(KEYS.open_jobs(owner_key.rpartition(":")[2])) == 0
    [line] = [line for line in log_lines() if line["message"] == "unreadable"]
    assert (line["level"], line["job_id"]) == ("ERROR", unreadable)
    assert "a prompt for nobody's log" not in json.dumps(log_lines())


def test_a_job_of_a_newer_router_of_the_same_protocol_is_worked(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    """Members that a worker does not know are ignored, and those of the retry policy too."""
    job_id = submit("new")
    rewrite(db, job_id, colour="red", retry={"attempts": 1, "shape": "round"})
    work_all(redis_url, upper, is_final(read, job_id))
    assert read(job_id)["result"] == {"text": "NEW"}


def test_a_job_of_an_older_router_has_the_default_limits(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    handed: list[Envelope] = []

    async def handler(job: Envelope) -> Any:
        handed.append(job)

    job_id = submit()
    stream = stream_of(db, job_id)
    [(entry_id, fields)] = db.xrange(stream)
    envelope = json.loads(fields["job"])
    del envelope["timeout_ms"], envelope["retry"]
    db.xdel(stream, entry_id)
    db.hset(KEYS.job(job_id), "stream_id", db.xadd(stream, fields | {"job": json.dumps(envelope)}))
    work_all(redis_url, handler, is_final(read, job_id))
    [job] = handed
    assert (job.timeout_ms, job.retry) == (300_000, RetryPolicy())
