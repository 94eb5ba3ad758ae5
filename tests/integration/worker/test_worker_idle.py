"""What an idle worker asks of Redis, and of one whose blocking read does not block, as some proxies and services do."""

import asyncio
import socket
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.queue.connection import connect
from tests.faults.proxy import CountsCommands, Fault, proxy_to
from tests.integration.conftest import Lines, ReadJob, Submit
from tests.integration.in_redis import QUEUE
from tests.integration.worker.worker_hand import working
from tests.integration.worker.worker_program import log_of, worker_process
from tests.integration.worker.worker_side import is_final, upper
from tests.patience import eventually, soon

#: An idle worker sends two commands a second, chores included; here it once sent 2,100.
MOST_REQUESTS_A_SECOND = 6
#: How long one is watched, and the commands that it may send in this time.
WATCHED_SECONDS, MOST_COMMANDS = 10, 20


class NeverBlocks(Fault):
    """Answers every blocking read at once: nothing there. Counts what it is asked."""

    def __init__(self) -> None:
        self.requests = 0

    def request(self, near: socket.socket, far: socket.socket, data: bytes) -> None:
        self.requests += 1
        if b"\r\nBLOCK\r\n" in data:
            near.sendall(b"*-1\r\n")
        else:
            far.sendall(data)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("XREADGROUP", ["--handler", "lambda_router_worker.demo:answer", "--health-port", "0"]),
        ("ZRANGE", ["--backend", "http://127.0.0.1:1/v1", "--model", "m"]),
    ],
    ids=["idle", "model server gone"],
)
def test_a_worker_process_without_a_job_sends_two_commands_a_second_at_most(
    tmp_path: Path, redis_url: str, command: str, options: list[str]
) -> None:
    """Its report every minute sends one more, and its watch over the memory one."""
    fault = CountsCommands()
    with proxy_to(redis_url) as proxy:
        proxy.fault = fault
        with worker_process(tmp_path, proxy.url, *options):
            # It has started: its first report is written, and looks for due jobs go on.
            log = tmp_path / "log"
            assert eventually(lambda: "DeadLetters" in log.read_text() and fault.commands[command] > 4, seconds=20)
            fault.commands.clear()
            time.sleep(WATCHED_SECONDS)
            commands = dict(fault.commands)

    assert commands[command] > WATCHED_SECONDS // 2
    assert sum(commands.values()) <= MOST_COMMANDS, commands


@pytest.mark.parametrize(("by_code", "count"), [(False, 1), (True, 2)], ids=["report", "stats and top"])
def test_the_figures_of_a_queue_take_one_command_or_two(redis_url: str, by_code: bool, count: int) -> None:
    fault = CountsCommands()

    async def scenario() -> None:
        async with aclosing(connect(proxy.url)) as redis:
            await Operations(redis, QUEUE).stats(by_code=by_code)  # the server learns the scripts
            fault.commands.clear()
            await Operations(redis, QUEUE).stats(by_code=by_code)

    with proxy_to(redis_url) as proxy:
        proxy.fault = fault
        asyncio.run(scenario())
    assert sum(fault.commands.values()) == count


def warnings(lines: Lines) -> list[str]:
    return [line["level"] for line in lines() if line["message"] == "idle"]


def test_an_idle_worker_does_not_spin_and_says_so_once(redis_url: str, log_lines: Lines) -> None:
    fault = NeverBlocks()

    async def scenario() -> float:
        async with working(proxy.url, upper):
            await asyncio.sleep(1)
            before, began = fault.requests, time.monotonic()
            await asyncio.sleep(4)
            return (fault.requests - before) / (time.monotonic() - began)

    with proxy_to(redis_url) as proxy:
        proxy.fault = fault
        rate = asyncio.run(scenario())
    assert rate < MOST_REQUESTS_A_SECOND
    assert warnings(log_lines) == ["WARNING"]


def test_a_worker_process_says_so(tmp_path: Path, redis_url: str) -> None:
    with proxy_to(redis_url) as proxy:
        proxy.fault = NeverBlocks()
        with worker_process(tmp_path, proxy.url, "--handler", "lambda_router_worker.demo:answer"):
            assert eventually(lambda: any(line["message"] == "idle" for line in log_of(tmp_path)), seconds=20)


def test_jobs_are_worked_all_the_same_within_two_seconds(redis_url: str, submit: Submit, read: ReadJob) -> None:
    async def scenario() -> None:
        async with working(proxy.url, upper):
            await asyncio.sleep(1)
            for number in range(2):
                job_id = submit(str(number))
                assert await soon(is_final(read, job_id), 2)

    with proxy_to(redis_url) as proxy:
        proxy.fault = NeverBlocks()
        asyncio.run(scenario())


@pytest.mark.parametrize("seconds", [0.1, 2.5])
def test_a_worker_that_rests_ends_at_once_when_told_to(redis_url: str, seconds: float) -> None:
    async def scenario() -> float:
        async with working(proxy.url, upper) as worker:
            await asyncio.sleep(seconds)
            began = time.monotonic()
            await worker.end()
            return time.monotonic() - began

    with proxy_to(redis_url) as proxy:
        proxy.fault = NeverBlocks()
        assert asyncio.run(scenario()) < 0.5


def test_a_read_that_blocks_gives_no_warning(redis_url: str, log_lines: Lines) -> None:
    async def scenario() -> None:
        async with working(redis_url, upper):
            await asyncio.sleep(3)

    asyncio.run(scenario())
    assert warnings(log_lines) == []
