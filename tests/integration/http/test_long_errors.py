"""A job's error is for reading: however long its message is, the job, the list and the dead letters can be fetched."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from lambda_router_queue.models import MAX_ERROR_CODE_BYTES, MAX_ERROR_MESSAGE_BYTES, Envelope
from lambda_router_worker.cli import main
from lambda_router_worker.outcomes import JobFailed, TryAgain, UnsupportedType
from lambda_router_worker.queue.work_queue import WorkQueue
from tests.conftest import Router
from tests.integration.conftest import ReadJob, Submit
from tests.integration.in_redis import KEYS, QUEUE, dead_letters
from tests.integration.worker.test_worker_results import LAMBDA_ANSWER_BYTES
from tests.integration.worker.worker_hand import claim_one, job_in, start_one, work_queue
from tests.integration.worker.worker_side import eventually_final, work_all

EIGHT_MB = 8_000_000
#: Two bytes a character, so that a cut in the midst of one would show.
LONG = "größe" * (EIGHT_MB // 7)


@pytest.mark.parametrize("outcome", [JobFailed, TryAgain, lambda _, message: UnsupportedType(message)],
                         ids=["JobFailed", "TryAgain", "UnsupportedType"])  # fmt: skip
def test_a_handler_s_long_message_is_cut(
    redis_url: str, submit: Submit, read: ReadJob, router: Router, db: redis.Redis, outcome: Callable[..., Exception]
):
    async def handler(job: Envelope) -> Any:
        raise outcome("odd", LONG)

    job_id = submit(type="once")
    work_all(redis_url, handler, lambda: eventually_final(redis_url, job_id))
    assert_cut(read(job_id)["error"]["message"])
    assert_cut(listed(router)[0]["error"]["message"])
    for letter in dead_list(redis_url) + dead_letters(db):
        assert_cut(letter["message"])


async def fail(queue: WorkQueue, words: tuple[str, str]) -> None:
    await queue.fail(await start_one(queue), json.dumps({"code": words[0], "message": words[1]}))


async def retry(queue: WorkQueue, words: tuple[str, str]) -> None:
    await queue.retry(await start_one(queue), 60_000, 3, *words)


async def bury(queue: WorkQueue, words: tuple[str, str]) -> None:
    await queue.retry(await start_one(queue), 0, 0, *words)


async def reject(queue: WorkQueue, words: tuple[str, str]) -> None:
    claim = await claim_one(queue)
    await queue.reject(claim, job_in(claim).owner, *words)


@pytest.mark.parametrize("end", [fail, retry, bury, reject])
def test_the_scripts_cut_what_a_worker_in_another_language_sends(
    redis_url: str, submit: Submit, read: ReadJob, router: Router, db: redis.Redis, end: Callable[..., Any]
):
    async def send() -> None:
        async with work_queue(redis_url) as queue:
            await end(queue, ("odd" * EIGHT_MB, LONG))

    job_id = submit()
    asyncio.run(send())
    job = read(job_id)
    for error in (job["error"] or job["last_error"], listed(router)[0]["error"] or listed(router)[0]["last_error"]):
        assert_cut(error["message"])
        assert len(error["code"]) == MAX_ERROR_CODE_BYTES
    record = db.hgetall(KEYS.job(job_id))
    assert sum(map(len, record.values())) < 2 * MAX_ERROR_MESSAGE_BYTES
    for letter in dead_list(redis_url) + dead_letters(db):
        assert_cut(letter["message"])
        assert len(letter["code"]) == MAX_ERROR_CODE_BYTES


NO_ERRORS = {
    "no JSON": "x" * EIGHT_MB,
    "no object": json.dumps([LONG]),
    "no code": json.dumps({"code": 1, "message": LONG}),
}


@pytest.mark.parametrize("error", NO_ERRORS.values(), ids=NO_ERRORS.keys())
def test_a_long_error_that_is_none_is_not_kept_whole_either(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, error: str
):
    async def send() -> None:
        async with work_queue(redis_url) as queue:
            assert await queue.fail(await start_one(queue), error) == "done"

    job_id = submit()
    asyncio.run(send())
    assert read(job_id)["error"]["code"] == "worker_error"
    assert len(db.hget(KEYS.job(job_id), "error")) <= MAX_ERROR_MESSAGE_BYTES


def test_a_full_page_of_the_longest_errors_fits_through_lambda(
    redis_url: str, submit: Submit, router: Router, db: redis.Redis
):
    """Control characters have the longest escapes. Some records are older than the bound."""
    for place in range(100):
        message = "x" * EIGHT_MB if place % 50 == 0 else "\u0001" * MAX_ERROR_MESSAGE_BYTES
        error = json.dumps({"code": "odd", "message": message})
        db.hset(KEYS.job(submit()), mapping={"status": "failed", "error": error})
    reply = router.get("/v1/jobs", query={"limit": ["100"]})
    assert reply.status == 200
    assert len(reply.json["data"]) == 100
    assert len(json.dumps({"body": reply.body}, ensure_ascii=False).encode()) <= LAMBDA_ANSWER_BYTES


def assert_cut(message: str) -> None:
    assert LONG.startswith(message.removesuffix("…"))
    assert MAX_ERROR_MESSAGE_BYTES - 4 <= len(message.encode()) <= MAX_ERROR_MESSAGE_BYTES


def listed(router: Router) -> list[dict[str, Any]]:
    reply = router.get("/v1/jobs")
    assert reply.status == 200
    jobs: list[dict[str, Any]] = reply.json["data"]
    return jobs


def dead_list(redis_url: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(main, ["dead", "list", "--json", "--queue", QUEUE], env={"REDIS_URL": redis_url})
    assert result.exit_code == 0, result.output
    letters: list[dict[str, Any]] = json.loads(result.output)
    return letters
