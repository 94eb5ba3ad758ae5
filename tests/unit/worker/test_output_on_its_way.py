"""Live output between a handler and Redis: nothing that was emitted is held up or dropped, whatever Redis answers."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from lambda_router_queue.redis.wire import Refused
from lambda_router_worker.deltas import Deltas
from lambda_router_worker.processing.live_output import LiveOutput, Output
from lambda_router_worker.queue.work_queue import Claim, Lease, Pieces

LEASE = Lease(Claim("stream", "1-0", "job_1", "{}"), [], 7, 1, 0)


class Queue:
    """Stands for the queue: keeps what it gets, or refuses it in Redis's words."""

    def __init__(self, refusal: str = "") -> None:
        self.texts: list[str] = []
        self.calls = 0
        self._refusal = refusal

    async def emit(self, output: Sequence[Pieces]) -> list[str]:
        self.calls += 1
        if self._refusal:
            raise Refused(self._refusal)
        for pieces in output:
            self.texts += pieces.texts
        return ["stored"] * len(output)


def output_to(queue: Any) -> Output:
    return LiveOutput(queue).of(LEASE)


def test_a_handler_that_awaits_nothing_else_does_not_hold_up_its_first_piece() -> None:
    async def scenario() -> None:
        queue = Queue()
        output = output_to(queue)
        for _ in range(100):
            output.take("word ")
            await asyncio.sleep(0)
            if queue.texts:
                return
        pytest.fail("100 turns of the loop, and nothing was sent")

    asyncio.run(scenario())


def test_output_waits_for_a_server_that_is_being_replaced() -> None:
    async def scenario() -> None:
        output = output_to(Queue("READONLY You can't write against a read only replica."))
        output.take("word")
        await output.settled()

    with pytest.raises(Refused):
        asyncio.run(scenario())


def test_nothing_is_sent_for_an_attempt_that_is_over() -> None:
    async def scenario() -> int:
        queue = Queue()
        live: Any = LiveOutput(queue)  # type: ignore[arg-type]
        output = live.of(LEASE)
        output.take("word")
        output.stop("over")
        await live.store([output])
        return queue.calls

    assert asyncio.run(scenario()) == 0


@pytest.mark.parametrize("delta", [{"progress": 0}, {"done": False}, {"found": []}, {"note": ""}], ids=str)
def test_an_object_whose_values_are_all_empty_is_output(delta: dict[str, Any]) -> None:
    deltas = Deltas()
    deltas.add(delta)

    assert list(map(json.loads, deltas.pieces(is_end=True))) == [delta]


@pytest.mark.parametrize("delta", ["", {"text": ""}, {"text": "", "reasoning": ""}, {}], ids=str)
def test_empty_text_is_no_output(delta: Any) -> None:
    deltas = Deltas()
    deltas.add(delta)

    assert deltas.pieces(is_end=True) == []
