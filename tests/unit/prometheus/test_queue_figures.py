"""lambda_router_worker.prometheus.queue_figures: Redis is asked seldom, and never for long."""

import asyncio
from typing import Any

import pytest

from lambda_router_queue.redis.wire import Broken
from lambda_router_worker.prometheus import queue_figures
from lambda_router_worker.prometheus.queue_figures import QueueFigures
from tests.unit.prometheus.page import STATS

type Reply = Any


class Operations:
    """Replies to ``stats``: figures, an exception, or None for silence."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked = 0

    async def stats(self) -> Reply:
        self.asked += 1
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        await (asyncio.sleep(0) if reply else asyncio.Event().wait())
        if isinstance(reply, Exception):
            raise reply
        return reply


def figures(operations: Operations) -> QueueFigures:
    return QueueFigures(operations)  # type: ignore[arg-type]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that ends soon, and figures that are old at once."""
    monkeypatch.setattr(queue_figures, "READ_SECONDS", 0.05)
    monkeypatch.setattr(queue_figures, "FRESH_SECONDS", 0)


def test_a_thousand_scrapes_at_once_and_after_each_other_read_once() -> None:
    operations = Operations(STATS)

    async def scenario() -> list[Any]:
        page = figures(operations)
        return [await page.newest(), *await asyncio.gather(*(page.newest() for _ in range(1_000)))]

    assert set(map(id, asyncio.run(scenario()))) == {id(STATS)}
    assert operations.asked == 1


def test_figures_that_are_old_are_read_again(hurried: None) -> None:
    operations = Operations(STATS)

    async def scenario() -> None:
        page = figures(operations)
        for _ in range(3):
            assert await page.newest() is STATS

    asyncio.run(scenario())
    assert operations.asked == 3


@pytest.mark.parametrize("reply", [None, Broken("gone"), OSError("refused"), LookupError("odd")], ids=repr)
def test_a_redis_that_is_silent_gone_or_odd_gives_no_figures_until_it_is_back(
    hurried: None, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> list[Any]:
        page = figures(Operations(reply, reply, STATS, reply, STATS))
        return [await page.newest() for _ in range(5)]

    assert asyncio.run(asyncio.wait_for(scenario(), 10)) == [None, None, STATS, None, STATS]
    assert [record.getMessage() for record in caplog.records] == 2 * ["queue unread"]  # once in each outage


def test_a_scrape_that_is_given_up_does_not_take_the_figures_from_others() -> None:
    async def scenario() -> Any:
        page = figures(Operations(STATS))
        impatient, patient = asyncio.create_task(page.newest()), asyncio.create_task(page.newest())
        await asyncio.sleep(0)
        impatient.cancel()
        return await patient

    assert asyncio.run(scenario()) is STATS
