"""A large result over a narrow link: judged by its progress, while leases are renewed beside it."""

import asyncio
import time
from contextlib import aclosing
from typing import Any

import pytest

from lambda_router_queue.models import Envelope
from lambda_router_queue.redis.url import RedisAddress
from lambda_router_queue.redis.wire import Broken
from lambda_router_worker.queue.connection import connect
from lambda_router_worker.queue.redis_server import Server
from tests.faults.proxy import BlackHole, CutLink, Fault, Narrow, proxy_to
from tests.integration.conftest import ReadJob, Submit
from tests.integration.worker.worker_hand import working
from tests.integration.worker.worker_side import is_final
from tests.patience import soon

#: 4 MB at this rate take 6.7 s, longer than an answer may take and than two leases.
NARROW = Narrow(600_000)
WINDOW = 65_536
LARGE = "x" * 4_000_000
LEASE_MS = 3_000


class Counted:
    """A handler with a large result, which knows how often it was asked."""

    def __init__(self) -> None:
        self.times: dict[str, int] = {}

    async def __call__(self, job: Envelope) -> Any:
        self.times[job.id] = self.times.get(job.id, 0) + 1
        return LARGE


def test_a_large_result_over_a_narrow_link_is_worked_once(redis_url: str, submit: Submit, read: ReadJob) -> None:
    """A second worker would take the job over as soon as its lease lapses."""
    handler, job_id = Counted(), submit()

    async def scenario() -> None:
        async with working(proxy.url, handler, lease_ms=LEASE_MS, name="near"):
            assert await soon(lambda: job_id in handler.times)
            async with working(redis_url, handler, lease_ms=LEASE_MS, name="far"):
                assert await soon(is_final(read, job_id), 30)

    with proxy_to(redis_url, WINDOW) as proxy:
        proxy.fault = NARROW
        asyncio.run(scenario())
    job = read(job_id)
    assert (job["status"], job["attempts"], handler.times) == ("completed", 1, {job_id: 1})


def test_neighbours_keep_their_leases_while_a_large_result_is_written(
    redis_url: str, submit: Submit, read: ReadJob
) -> None:
    large, *others = [submit(str(number)) for number in range(3)]
    begun: list[str] = []

    async def handler(job: Envelope) -> Any:
        begun.append(job.id)
        if job.id == large:
            return LARGE
        await asyncio.sleep(6)
        return "done"

    async def scenario() -> None:
        async with (
            working(proxy.url, handler, concurrency=3, lease_ms=LEASE_MS, name="near"),
        ):
            assert await soon(lambda: len(begun) == 3)
            async with working(redis_url, handler, concurrency=3, lease_ms=LEASE_MS, name="far"):
                assert await soon(is_final(read, large, *others), 30)

    with proxy_to(redis_url, WINDOW) as proxy:
        proxy.fault = NARROW
        asyncio.run(scenario())
    assert sorted(begun) == sorted([large, *others])
    assert [read(job_id)["attempts"] for job_id in (large, *others)] == [1, 1, 1]


@pytest.mark.parametrize("fault", [BlackHole(), CutLink()], ids=["swallows", "drops"])
@pytest.mark.parametrize("size", [10, 4_000_000], ids=["small", "large"])
def test_a_link_that_stands_still_is_given_up(redis_url: str, fault: Fault, size: int) -> None:
    async def scenario() -> float:
        async with aclosing(Server(RedisAddress.of(proxy.url), 0.5)) as server:
            await server.execute("PING")
            proxy.fault = fault
            began = time.monotonic()
            with pytest.raises(Broken, match="TimeoutError"):
                await server.execute("ECHO", "x" * size)
            return time.monotonic() - began

    with proxy_to(redis_url, WINDOW) as proxy:
        assert asyncio.run(scenario()) < 3


def test_a_server_that_reads_and_never_answers_is_given_up_although_more_is_asked(redis_url: str) -> None:
    async def scenario() -> float:
        async with aclosing(Server(RedisAddress.of(proxy.url), 0.5)) as server:
            await server.execute("PING")
            proxy.fault = BlackHole()
            began = time.monotonic()
            asked = [asyncio.create_task(server.execute("PING"))]
            while not asked[0].done():
                await asyncio.sleep(0.05)
                asked.append(asyncio.create_task(server.execute("PING")))
            said = await asyncio.gather(*asked, return_exceptions=True)
            assert isinstance(said[0], Broken)
            return time.monotonic() - began

    with proxy_to(redis_url, WINDOW) as proxy:
        assert asyncio.run(scenario()) < 2


def test_a_large_answer_over_a_slow_link_is_waited_for(redis_url: str) -> None:
    class Drip(Fault):
        def reply(self, near: Any, data: bytes, first: bool) -> None:
            near.sendall(data)
            time.sleep(len(data) / 1_000_000)

    async def scenario() -> str:
        async with aclosing(Server(RedisAddress.of(proxy.url), 0.5)) as server:
            await server.execute("SET", "large", "y" * 2_000_000)
            proxy.fault = Drip()
            return str(await server.execute("GET", "large"))

    with proxy_to(redis_url) as proxy:
        assert len(asyncio.run(scenario())) == 2_000_000


def test_a_small_question_does_not_wait_behind_a_large_one(redis_url: str) -> None:
    async def scenario() -> float:
        async with aclosing(connect(proxy.url)) as connection:
            await connection.execute("PING")
            large = asyncio.create_task(connection.execute("SET", "large", LARGE))
            await asyncio.sleep(0.1)
            began = time.monotonic()
            await connection.execute("PING")
            took = time.monotonic() - began
            assert not large.done()
            large.cancel()
            return took

    with proxy_to(redis_url, WINDOW) as proxy:
        proxy.fault = NARROW
        assert asyncio.run(scenario()) < 1
