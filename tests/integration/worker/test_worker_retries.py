"""A consumer at work: what is tried again, when, and what is not. ``conftest.TYPES`` has the job types."""

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from lambda_router_queue.models import Envelope
from lambda_router_worker.outcomes import JobFailed, TryAgain, UnsupportedType
from lambda_router_worker.processing.handlers import load_handler
from tests.integration.conftest import Lines, ReadJob, Submit
from tests.integration.in_redis import KEYS, dead_letters, stored_jobs
from tests.integration.worker.worker_hand import working
from tests.integration.worker.worker_side import is_final, work_all
from tests.patience import soon


def outcomes(lines: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Outcome and attempts of each try, from the log."""
    return [(line["outcome"], line["attempt"]) for line in lines if line["message"] == "worked"]


def test_a_job_that_is_to_be_tried_again_is_and_its_next_try_counts(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, log_lines: Lines
):
    tries: list[str] = []

    async def handler(job: Envelope) -> Any:
        tries.append(job.id)
        if len(tries) < 3:
            raise TryAgain("busy", "The model is busy.")
        return "at last"

    job_id = submit(type="thrice")
    work_all(redis_url, handler, is_final(read, job_id))
    job = read(job_id)
    assert tries == [job_id] * 3
    assert (job["status"], job["result"], job["error"], job["attempts"]) == ("completed", "at last", None, 3)
    assert outcomes(log_lines()) == [("scheduled", 1), ("scheduled", 2), ("completed", 3)]
    assert dead_letters(db) == []
    assert stored_jobs(db) == db.zcard(KEYS.scheduled) == 0


def test_a_wait_that_was_asked_for_is_kept_and_told(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    """As a server's ``Retry-After`` asks; the type itself would be tried again at once."""
    tries: list[float] = []

    async def handler(job: Envelope) -> Any:
        tries.append(time.time())
        raise TryAgain("busy", "The model is busy.", after_seconds=30)

    job_id = submit(type="thrice")

    async def scenario() -> None:
        async with working(redis_url, handler) as worker:
            assert await soon(lambda: db.zcard(KEYS.scheduled) == 1)
            assert await soon(lambda: worker.consumer.running == 0)
            await asyncio.sleep(1)

    asyncio.run(scenario())
    [begun] = tries
    due = db.zscore(KEYS.scheduled, job_id)
    assert due is not None
    assert 29 < due / 1000 - begun < 32
    job = read(job_id)
    assert (job["status"], job["attempts"], job["position"], job["error"]) == ("queued", 1, None, None)
    assert job["estimated_start_at"] > job["created_at"]


def test_the_last_try_fails_the_job_with_its_own_words_and_keeps_it_for_the_operator(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, log_lines: Lines
):
    async def handler(job: Envelope) -> Any:
        raise TryAgain("busy", "The model is busy: größer.")

    job_id = submit("kept", type="once")
    work_all(redis_url, handler, is_final(read, job_id))
    job = read(job_id)
    assert (job["status"], job["attempts"]) == ("failed", 1)
    assert job["error"] == {"code": "busy", "message": "The model is busy: größer."}
    [letter] = dead_letters(db)
    assert (letter["id"], letter["code"], letter["message"]) == (job_id, "busy", "The model is busy: größer.")
    assert json.loads(letter["job"])["input"]["prompt"] == "kept"
    assert outcomes(log_lines()) == [("dead", 1)]


def test_a_job_that_failed_for_good_is_not_tried_again_and_is_no_dead_letter(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, log_lines: Lines
):
    async def handler(job: Envelope) -> Any:
        raise JobFailed("too_long", "Too long.")

    job_id = submit(type="thrice")
    work_all(redis_url, handler, is_final(read, job_id))
    assert (read(job_id)["status"], read(job_id)["attempts"]) == ("failed", 1)
    assert outcomes(log_lines()) == [("failed", 1)]
    assert dead_letters(db) == []


def test_a_result_that_cannot_be_stored_is_not_tried_again(redis_url: str, submit: Submit, read: ReadJob):
    async def handler(job: Envelope) -> Any:
        return {1, 2}

    job_id = submit(type="thrice")
    work_all(redis_url, handler, is_final(read, job_id))
    assert (read(job_id)["error"]["code"], read(job_id)["attempts"]) == ("result_not_json", 1)


def test_a_job_can_be_cancelled_between_two_tries(redis_url: str, submit: Submit, read: ReadJob, router: Any):
    tries: list[str] = []

    async def handler(job: Envelope) -> Any:
        tries.append(job.id)
        raise TryAgain("busy", "The model is busy.", after_seconds=1)

    job_id = submit(type="thrice")

    async def scenario() -> None:
        async with working(redis_url, handler):
            assert await soon(lambda: tries and read(job_id)["status"] == "queued")
            assert router.delete(f"/v1/jobs/{job_id}").json["status"] == "cancelled"
            await asyncio.sleep(1.8)

    asyncio.run(scenario())
    assert tries == [job_id]
    assert read(job_id)["status"] == "cancelled"


# Time limits


@pytest.mark.parametrize("last_words", ["none", "another error"])
def test_a_job_that_takes_too_long_is_interrupted_and_fails_as_such(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, log_lines: Lines, last_words: str
):
    interrupted = threading.Event()

    async def handler(job: Envelope) -> Any:
        if job.type != "quick":
            return "fine"
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            interrupted.set()
            if last_words == "another error":
                raise RuntimeError("while giving up") from None
            raise

    slow, next_one = submit("slow", type="quick"), submit("next")
    started = time.monotonic()
    work_all(redis_url, handler, is_final(read, slow, next_one))
    assert 1 <= time.monotonic() - started < 5
    assert interrupted.is_set()
    assert read(slow)["error"] == {"code": "timeout", "message": "The job took longer than 1 seconds."}
    assert [letter["code"] for letter in dead_letters(db)] == ["timeout"]
    assert read(next_one)["result"] == "fine"
    assert not [line for line in log_lines() if line["message"] == "handler"]


class Stuck:
    """A plain function that hangs for jobs of type ``quick``: nothing can interrupt a thread."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def __call__(self, job: Envelope) -> Any:
        if job.type == "quick":
            self.released.wait(20)
        return "fine"


stuck = Stuck()


def test_a_plain_function_that_hangs_costs_its_own_place_and_no_other(redis_url: str, submit: Submit, read: ReadJob):
    hanging, next_one = submit(type="quick"), submit("next")

    async def scenario() -> None:
        async with working(redis_url, load_handler(f"{__name__}:stuck"), concurrency=2) as worker:
            try:
                assert await soon(is_final(read, hanging, next_one), seconds=5)
                assert worker.consumer.running == 1
            finally:
                stuck.released.set()

    asyncio.run(scenario())
    assert read(hanging)["error"]["code"] == "timeout"
    assert read(next_one)["result"] == "fine"


def test_a_job_in_time_is_not_disturbed_by_its_limit(redis_url: str, submit: Submit, read: ReadJob):
    async def handler(job: Envelope) -> Any:
        await asyncio.sleep(0.5)
        return "in time"

    job_id = submit(type="quick")
    work_all(redis_url, handler, is_final(read, job_id))
    assert read(job_id)["result"] == "in time"


def test_a_job_of_a_type_that_no_handler_does_is_a_dead_letter_at_once(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, log_lines: Lines
):
    async def handler(job: Envelope) -> Any:
        raise UnsupportedType("We do not generate.")

    job_id = submit(type="thrice")
    work_all(redis_url, handler, is_final(read, job_id))
    job = read(job_id)
    assert (job["status"], job["attempts"]) == ("failed", 1)
    assert job["error"] == {"code": "unsupported_type", "message": "We do not generate."}
    [letter] = dead_letters(db)
    assert (letter["id"], letter["code"]) == (job_id, "unsupported_type")
    assert json.loads(letter["job"])["id"] == job_id
    assert outcomes(log_lines()) == [("dead", 1)]


def test_a_mistake_in_what_a_handler_raises_is_a_dead_letter_and_no_loop_of_attempts(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, log_lines: Lines
):
    wrong: Any = "20"

    async def handler(job: Envelope) -> Any:
        raise TryAgain("busy", "The model is busy.", after_seconds=wrong)

    job_id = submit(type="thrice")
    work_all(redis_url, handler, is_final(read, job_id))
    job = read(job_id)
    assert (job["status"], job["attempts"], job["error"]["code"]) == ("failed", 1, "worker_error")
    assert [letter["id"] for letter in dead_letters(db)] == [job_id]
    [line] = [line for line in log_lines() if line["message"] == "handler"]
    assert (line["error"], line["reason"].split()[0]) == ("BadOutcome", "after_seconds")
    assert Path(__file__).name in line["exception"]
