"""Handlers that emit: what is in the log of their jobs, and what a mistake costs."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from lambda_router_queue.models import Envelope
from lambda_router_worker.job import Job
from lambda_router_worker.processing import live_output
from lambda_router_worker.processing.handlers import load_handler
from tests.integration.conftest import Lines, ReadJob, Submit
from tests.integration.in_redis import KEYS
from tests.integration.worker.live_output import log_reader
from tests.integration.worker.live_output.log_reader import deltas_of, log_of, text_of
from tests.integration.worker.worker_hand import working
from tests.integration.worker.worker_side import is_final, work_all
from tests.patience import soon


def mistake(job: Job) -> Any:
    job.emit_from_thread(object())  # type: ignore[arg-type]


async def async_mistake(job: Job) -> Any:
    job.emit_from_thread("a")


@pytest.mark.parametrize("handler", ["spell", "spell_plainly"])
def test_what_a_handler_emits_is_in_the_log_before_the_job_is_final(
    redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis", handler: str
):
    job_id = submit("Schöne Grüße")
    work_all(redis_url, load_handler(f"{log_reader.__name__}:{handler}"), is_final(read, job_id))
    assert read(job_id)["result"] == {"text": "Schöne Grüße"}
    assert text_of(db, job_id) == "Schöne Grüße"
    *entries, (_, last) = log_of(db, job_id)
    token = db.hget(KEYS.job(job_id), "lease_token")
    assert [entry for entry, _ in entries] == [f"{token}-{number}" for number in range(1, len(entries) + 1)]
    assert last == "end"


def test_a_handler_that_emits_nothing_has_no_log(redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"):
    async def handler(job: Envelope) -> Any:
        return "done"

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id))
    assert not db.exists(KEYS.events(job_id))


def test_the_first_word_is_there_while_the_handler_works(
    redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"
):
    async def scenario() -> None:
        goes_on = asyncio.Event()

        async def handler(job: Job) -> Any:
            await job.emit("first")
            await goes_on.wait()
            return {"text": "first"}

        job_id = submit()
        async with working(redis_url, handler):
            assert await soon(lambda: text_of(db, job_id) == "first")
            assert read(job_id)["status"] == "in_progress"
            goes_on.set()
            assert await soon(is_final(read, job_id))

    asyncio.run(scenario())


def test_tokens_cost_few_calls(redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"):
    """1,000 tokens in a second or so: a call for each beat of 50 ms, and not one for each token."""

    async def handler(job: Job) -> Any:
        for _ in range(1_000):
            await job.emit("token ")
            await asyncio.sleep(0.001)
        return "done"

    job_id = submit()
    began = time.monotonic()
    work_all(redis_url, handler, is_final(read, job_id))
    beats = (time.monotonic() - began) / live_output.EVERY_SECONDS
    assert text_of(db, job_id) == 1_000 * "token "
    assert len(deltas_of(db, job_id)) <= 1.5 * beats + 5  # a busy machine has late beats, and some that follow at once


@pytest.mark.parametrize("handler", ["mistake", "async_mistake"])
def test_a_mistake_in_emitting_fails_the_job_and_not_the_worker(
    redis_url: str, submit: Submit, read: ReadJob, log_lines: Lines, handler: str
):
    job_id, other = submit(type="once"), submit(type="once")
    work_all(redis_url, load_handler(f"{__name__}:{handler}"), is_final(read, job_id, other))
    assert [read(each)["error"]["code"] for each in (job_id, other)] == ["worker_error"] * 2
    [line, _] = [line for line in log_lines() if line["message"] == "handler"]
    assert Path(__file__).name in line["exception"]


def test_a_mistake_of_one_job_costs_another_no_output(redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis"):
    """Halves of characters, which are no UTF-8, in the members of a handler's own object."""

    async def handler(job: Job) -> Any:
        for _ in range(20):
            await job.emit({"a": ["\ud800"], "\udfff": 1} if job.input["prompt"] == "bad" else "good ")
            await asyncio.sleep(0.01)
        return "done"

    bad, good = submit("bad"), submit("good")
    work_all(redis_url, handler, is_final(read, bad, good), concurrency=2)
    assert text_of(db, good) == 20 * "good "
    assert deltas_of(db, bad) == 20 * [{"a": ["\ufffd"], "\ufffd": 1}]
