"""lambda_router_worker.processing.lease_keeper: the work goes on as long as the lease does."""

import asyncio
from typing import Any

import pytest

from lambda_router_queue.redis.wire import Broken
from lambda_router_worker.processing.lease_keeper import LeaseKeeper, LeaseLost


class Answers:
    """A queue that says these words, one at each renewal, and then ``run``; an error is raised."""

    lease_ms = 15  # renewed every 5 ms

    def __init__(self, *words: str | Exception) -> None:
        self._words = list(words)
        self.renewals = 0

    async def renew(self, lease: Any) -> str:
        self.renewals += 1
        word = self._words.pop(0) if self._words else "run"
        if isinstance(word, Exception):
            raise word
        return word


async def keep(queue: Any, work: Any) -> Any:
    lease: Any = None
    with LeaseKeeper(queue, lease) as keeper:
        return await keeper.during(work)


async def until_renewed(queue: Answers, times: int) -> str:
    while queue.renewals < times:
        await asyncio.sleep(0.001)
    return "done"


def test_work_that_ends_at_once_is_answered_and_nothing_is_renewed():
    async def at_once() -> str:
        return "done"

    queue = Answers()
    assert asyncio.run(keep(queue, at_once())) == "done"
    assert queue.renewals == 0


def test_a_redis_that_is_away_is_no_reason_to_stop():
    queue = Answers(Broken("away"), "run", Broken("away"))
    assert asyncio.run(keep(queue, until_renewed(queue, 4))) == "done"


def test_work_whose_lease_is_gone_is_interrupted_and_the_task_goes_on():
    async def scenario() -> str:
        with pytest.raises(LeaseLost) as lost:
            await keep(Answers("run", "cancelled"), asyncio.sleep(30))
        await asyncio.sleep(0)  # would raise if the interruption were still under way
        return lost.value.reason

    assert asyncio.run(scenario()) == "cancelled"


def test_work_that_swallows_the_interruption_is_thrown_away():
    async def stubborn() -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(0.001)
        return "stubborn"

    async def scenario() -> str:
        with pytest.raises(LeaseLost) as lost:
            await keep(Answers("lost"), stubborn())
        await asyncio.sleep(0)
        return lost.value.reason

    assert asyncio.run(scenario()) == "lost"


def test_whoever_cancels_from_outside_is_obeyed():
    async def scenario() -> bool:
        task = asyncio.create_task(keep(Answers(), asyncio.sleep(30)))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(scenario())


def test_no_renewal_comes_after_the_work():
    async def scenario() -> tuple[int, int]:
        queue = Answers()
        await keep(queue, until_renewed(queue, 2))
        renewals = queue.renewals
        await asyncio.sleep(0.02)
        return renewals, queue.renewals

    before, after = asyncio.run(scenario())
    assert before == after


def test_the_lease_is_kept_while_the_outcome_is_written_and_its_loss_stops_no_write():
    async def scenario() -> str:
        queue = Answers("run", "run", "cancelled")
        lease: Any = None
        with LeaseKeeper(queue, lease) as keeper:  # type: ignore[arg-type]
            await keeper.during(asyncio.sleep(0))
            return await until_renewed(queue, 3)

    assert asyncio.run(scenario()) == "done"
