"""A consumer at work: what a handler is handed, what becomes of what it raises, what is logged."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import redis

from lambda_router_queue.models import Envelope
from lambda_router_worker.outcomes import JobFailed
from lambda_router_worker.processing.handlers import load_handler
from tests.conftest import Router
from tests.integration.conftest import Lines, ReadJob, Submit
from tests.integration.in_redis import dead_letters, entries, every_text, pending, redis_url_of, stored_jobs, stream_of
from tests.integration.worker.worker_hand import working
from tests.integration.worker.worker_side import FATES, is_final, upper, work_all
from tests.patience import soon


def lower(job: Envelope) -> Any:
    return {"text": str(job.input["prompt"]).lower(), "thread": threading.current_thread().name}


class Upper:
    """A handler with something to keep, as ``lambda_router_worker.backend.openai_backend.OpenAIBackend`` is."""

    async def __call__(self, job: Envelope) -> Any:
        return await upper(job)


an_upper = Upper()


def test_jobs_sent_before_and_after_the_workers_start_are_worked(redis_url: str, submit: Submit, read: ReadJob):
    before = submit("before")

    async def scenario() -> str:
        async with working(redis_url, upper):
            assert await soon(is_final(read, before))
            after = submit("after")
            assert await soon(is_final(read, after))
            return after

    after = asyncio.run(scenario())
    assert [read(job_id)["result"] for job_id in (before, after)] == [{"text": "BEFORE"}, {"text": "AFTER"}]
    assert read(after)["attempts"] == 1


@pytest.mark.parametrize("level", ["high", "normal", "low"])
def test_an_idle_worker_takes_jobs_of_every_priority(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, level: str
):
    async def scenario() -> str:
        async with working(redis_url, upper):
            assert await soon(lambda: db.info("clients")["blocked_clients"] == 1)
            job_id = submit(priority=level)
            assert await soon(is_final(read, job_id))
            return job_id

    assert read(asyncio.run(scenario()))["status"] == "completed"
    assert pending(db) == []


def test_a_plain_function_works_beside_the_event_loop(redis_url: str, submit: Submit, read: ReadJob):
    job_id = submit("LOUD")
    work_all(redis_url, load_handler(f"{__name__}:lower"), is_final(read, job_id))
    assert read(job_id)["result"]["text"] == "loud"
    assert read(job_id)["result"]["thread"] != threading.main_thread().name


def test_a_callable_object_is_a_handler(redis_url: str, submit: Submit, read: ReadJob):
    job_id = submit("quiet")
    work_all(redis_url, load_handler(f"{__name__}:an_upper"), is_final(read, job_id))
    assert read(job_id)["result"] == {"text": "QUIET"}


def test_a_handler_is_handed_the_envelope(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    handed: list[Envelope] = []

    async def handler(job: Envelope) -> Any:
        handed.append(job)

    job_id = submit("x", metadata={"k": "v"})
    [(_, envelope)] = entries(db)
    work_all(redis_url, handler, is_final(read, job_id))
    assert [job.model_dump(exclude_unset=True) for job in handed] == [envelope]
    assert (read(job_id)["status"], read(job_id)["result"]) == ("completed", None)


def test_a_handler_can_fail_its_job_with_words_of_its_own(redis_url: str, submit: Submit, read: ReadJob):
    async def handler(job: Envelope) -> Any:
        raise JobFailed("context_too_long", "The prompt has too many tokens: größer als 4096.")

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id))
    job = read(job_id)
    assert (job["status"], job["result"]) == ("failed", None)
    assert job["error"] == {
        "code": "context_too_long",
        "message": "The prompt has too many tokens: größer als 4096.",
    }


@pytest.mark.parametrize("verdict", FATES)
def test_a_job_nobody_wants_any_more_is_not_handed_to_the_handler(
    router: Router, submit: Submit, db: redis.Redis, log_lines: Lines, verdict: str
):
    """Its entry outlived it, as when a failover lost the rest."""
    handed: list[str] = []

    async def handler(job: Envelope) -> Any:
        handed.append(job.id)

    unwanted = submit()
    stream = stream_of(db, unwanted)
    [(_, fields)] = db.xrange(stream)
    FATES[verdict](router, db, unwanted)
    if stored_jobs(db) == 0:
        db.xadd(stream, fields)
    wanted = submit()
    work_all(redis_url_of(db), handler, lambda: wanted in handed and stored_jobs(db) == 0)
    assert handed == [wanted]
    assert [line["reason"] for line in log_lines() if line["message"] == "not started"] == [verdict]


@pytest.mark.parametrize(
    "error",
    [RuntimeError("secret of the house"), KeyError("secret of the house"), TimeoutError("secret of the house"),
     AssertionError("secret of the house"), asyncio.CancelledError("secret of the house")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_a_handler_raises_unforeseen_is_tried_again_then_fails_its_job_and_stays_in_the_log(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, log_lines: Lines, error: BaseException
):
    async def handler(job: Envelope) -> Any:
        if job.input["prompt"] == "bad":
            raise error
        return "fine"

    bad, good = submit("bad", type="thrice"), submit("good")
    work_all(redis_url, handler, is_final(read, bad, good), seconds=6)
    job = read(bad)
    assert (job["status"], job["attempts"]) == ("failed", 3)
    assert job["error"] == {"code": "worker_error", "message": "The worker failed on this job."}
    assert read(good)["result"] == "fine"
    lines = [line for line in log_lines() if line["message"] == "handler"]
    assert {(line["level"], line["job_id"], line["error"]) for line in lines} == {("ERROR", bad, type(error).__name__)}
    assert len(lines) == 3
    [letter] = dead_letters(db)
    assert (letter["id"], letter["code"], letter["attempts"]) == (bad, "worker_error", "3")
    assert "secret of the house" not in json.dumps(log_lines()) + every_text(db)


def test_the_log_tells_where_a_handler_failed(redis_url: str, submit: Submit, read: ReadJob, log_lines: Lines):
    """A class name alone helps nobody to mend a handler."""

    async def handler(job: Envelope) -> Any:
        return {}["missing"]

    job_id = submit(type="once")
    work_all(redis_url, handler, is_final(read, job_id))
    [line] = [line for line in log_lines() if line["message"] == "handler"]
    assert Path(__file__).name in line["exception"]


def test_the_demonstration_handler_answers_both_job_types(
    router: Router, redis_url: str, read: ReadJob, submit: Submit
):
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "good day"}]
    chat = router.post("/v1/jobs", {"type": "chat", "input": {"messages": messages}}).json["id"]
    generate = submit("hello there")
    work_all(redis_url, load_handler("lambda_router_worker.demo:answer"), is_final(read, chat, generate))
    assert [read(job_id)["result"]["text"] for job_id in (generate, chat)] == ["HELLO THERE", "GOOD DAY"]


def test_the_demonstration_handler_does_no_other_types(redis_url: str, read: ReadJob, submit: Submit):
    job_id = submit(type="thrice")
    work_all(redis_url, load_handler("lambda_router_worker.demo:answer"), is_final(read, job_id))
    assert (read(job_id)["error"]["code"], read(job_id)["attempts"]) == ("unsupported_type", 1)


def test_a_job_is_logged_by_its_id_and_trace_and_nothing_of_its_content(
    redis_url: str, submit: Submit, read: ReadJob, log_lines: Lines, db: redis.Redis
):
    prompt = "a prompt that nobody should find in a log"
    job_id = submit(prompt, metadata={"k": "metadatum"})
    trace_id = entries(db)[0][1]["traceparent"].split("-")[1]
    work_all(redis_url, upper, is_final(read, job_id))
    [line] = [line for line in log_lines() if line["message"] == "worked"]
    assert (line["job_id"], line["trace_id"], line["type"]) == (job_id, trace_id, "generate")
    assert (line["outcome"], line["attempt"]) == ("completed", 1)
    assert line["took_ms"] >= 0
    text = json.dumps(log_lines())
    for secret in (prompt, prompt.upper(), "metadatum", redis_url):
        assert secret not in text
