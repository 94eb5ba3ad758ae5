"""lambda_router_worker.processing.gate: when it closes, when it opens, and whose trouble it takes a trouble for."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from lambda_router_worker.backend.server_trouble import Kind, ServerTrouble
from lambda_router_worker.outcomes import JobFailed, TryAgain
from lambda_router_worker.processing.gate import IN_A_ROW, Gate

BUSY = TryAgain("backend_busy", "The model server responded with status 500.")
REJECTED = JobFailed("backend_rejected", "The model server rejected the job with status 404.")


def trouble(kind: Kind, reason: str = "status 500") -> ServerTrouble:
    return ServerTrouble(reason, kind, BUSY, was_there=True)


class Named:
    name = "http://127.0.0.1:8080/v1"
    model = "m"


class Server(Named):
    """A model server that is well, or in that trouble; it notes how it was probed."""

    def __init__(self, *reasons: str, kind: Kind = Kind.REFUSED_US) -> None:
        self.kind = kind
        self.reasons = list(reasons)
        self.probes: list[bool] = []

    async def probe(self, *, thorough: bool) -> None:
        self.probes.append(thorough)
        if reason := self.reasons.pop(0) if self.reasons else "":
            raise trouble(self.kind, reason)


async def opened(server: Server) -> Gate:
    gate = Gate(server)
    await gate.wait_until_open(asyncio.Event())
    server.probes.clear()
    return gate


def run[Answer](scenario: Coroutine[Any, Any, Answer]) -> Answer:
    return asyncio.run(scenario)


def test_a_handlers_gate_is_always_open():
    gate = Gate()

    assert (gate.is_open, gate.has_server) == (True, False)
    assert not run(gate.judge(trouble(Kind.UNREACHABLE)))
    assert gate.is_open


def test_a_servers_gate_is_closed_until_it_has_answered_once_and_a_cheap_probe_is_enough():
    async def scenario() -> None:
        server = Server()
        gate = Gate(server)
        assert not gate.is_open
        assert gate.reason
        await gate.wait_until_open(asyncio.Event())
        assert gate.is_open
        assert server.probes == [False]

    run(scenario())


def test_a_lost_connection_closes_the_gate_at_once():
    async def scenario() -> None:
        gate = await opened(Server())
        assert await gate.judge(trouble(Kind.UNREACHABLE, "connection refused"))
        assert (gate.is_open, gate.reason) == (False, "connection refused")

    run(scenario())


@pytest.mark.parametrize("well", [True, False])
def test_a_refusal_has_a_thorough_probe_decide(well: bool):
    """A 404 to one job closes nothing when the server completes a token for the worker's own model."""

    async def scenario() -> None:
        server = Server()
        gate = await opened(server)
        server.reasons = [] if well else ["status 404"]
        assert await gate.judge(ServerTrouble("status 404", Kind.REFUSED_US, REJECTED)) == (not well)
        assert server.probes == [True]
        assert gate.is_open == well

    run(scenario())


@pytest.mark.parametrize("kind", [Kind.BROKEN, Kind.DOUBTFUL])
def test_only_several_in_a_row_have_a_probe_decide(kind: Kind):
    async def scenario() -> None:
        server = Server()
        gate = await opened(server)
        server.reasons = ["status 500"]
        judged = [await gate.judge(trouble(kind)) for _ in range(IN_A_ROW)]
        assert judged == [False] * (IN_A_ROW - 1) + [True]
        assert server.probes == [True]

    run(scenario())


@pytest.mark.parametrize(("kind", "closes"), [(Kind.DOUBTFUL, False), (Kind.REFUSED_US, False), (Kind.BROKEN, True)])
def test_a_probe_that_is_merely_late_confirms_no_refusal(kind: Kind, closes: bool):
    """It may stand behind this worker's own jobs, on a server that does one at a time."""

    async def scenario() -> None:
        server = Server(kind=Kind.BROKEN)
        gate = await opened(server)
        server.reasons = ["no answer for 30 s"]
        judged = [await gate.judge(trouble(kind)) for _ in range(IN_A_ROW)]
        assert judged[-1] == closes
        assert gate.is_open != closes

    run(scenario())


def test_a_job_that_was_answered_ends_the_row():
    async def scenario() -> None:
        server = Server()
        gate = await opened(server)
        for _ in range(IN_A_ROW):
            assert not await gate.judge(trouble(Kind.BROKEN))
            gate.job_was_answered()
        assert server.probes == []

    run(scenario())


def test_what_a_closed_gate_meets_is_given_back_without_asking_again():
    async def scenario() -> None:
        server = Server()
        gate = await opened(server)
        await gate.judge(trouble(Kind.UNREACHABLE))
        assert await gate.judge(ServerTrouble("status 404", Kind.REFUSED_US, REJECTED))
        assert server.probes == []

    run(scenario())


def test_jobs_that_break_at_once_are_judged_by_one_probe():
    async def scenario() -> None:
        server = Server()
        gate = await opened(server)
        server.reasons = ["status 401"]
        judged = await asyncio.gather(*(gate.judge(trouble(Kind.REFUSED_US)) for _ in range(8)))
        assert judged == [True] * 8
        assert server.probes == [True]

    run(scenario())


def test_a_gate_that_was_open_opens_only_after_a_whole_token():
    async def scenario() -> None:
        server = Server()
        gate = await opened(server)
        await gate.judge(trouble(Kind.UNREACHABLE))
        server.reasons = ["status 503"]
        await gate.wait_until_open(asyncio.Event())
        assert server.probes == [True, True]
        assert gate.is_open

    run(scenario())


async def delay_until_open(gate: Gate) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await gate.wait_until_open(asyncio.Event())
    return loop.time() - began


def test_a_server_that_breaks_again_before_it_has_done_a_job_is_left_alone_for_longer():
    """What answers a probe and breaks on every job would else use up the queue's jobs, one a second."""

    async def scenario() -> None:
        gate = await opened(Server())
        for least in (0.5, 1, 2):
            await gate.judge(trouble(Kind.UNREACHABLE))
            assert await delay_until_open(gate) >= least - 0.05
        gate.job_was_answered()
        await gate.judge(trouble(Kind.UNREACHABLE))
        assert await delay_until_open(gate) <= 1.5

    run(scenario())


def test_the_reason_is_the_newest():
    async def scenario() -> None:
        stop = asyncio.Event()
        gate = Gate(Server("connection refused", "status 503"))
        waiting = asyncio.create_task(gate.wait_until_open(stop))
        seen: set[str] = set()
        async with asyncio.timeout(10):
            while not waiting.done():
                seen.add(gate.reason)
                await asyncio.sleep(0.01)
        assert {"connection refused", "status 503"} <= seen

    run(scenario())


def test_a_set_stop_ends_the_wait_even_amid_a_probe():
    class Hanging(Named):
        async def probe(self, *, thorough: bool) -> None:
            await asyncio.Event().wait()

    async def scenario() -> None:
        stop = asyncio.Event()
        gate = Gate(Hanging())
        asyncio.get_running_loop().call_later(0.05, stop.set)
        async with asyncio.timeout(5):
            await gate.wait_until_open(stop)
        assert not gate.is_open

    run(scenario())


def test_a_probe_that_fails_as_nobody_foresaw_closes_the_gate_too():
    class Odd(Named):
        async def probe(self, *, thorough: bool) -> None:
            raise UnicodeError("with a prompt in it")

    async def scenario() -> None:
        gate = Gate(Odd())
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.1, stop.set)
        await gate.wait_until_open(stop)
        assert "UnicodeError" in gate.reason
        assert "prompt" not in gate.reason

    run(scenario())
