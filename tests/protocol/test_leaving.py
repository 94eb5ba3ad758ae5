"""A worker that leaves takes its name with it, and nothing that it holds."""

from collections.abc import Callable
from typing import Any

import pytest

from lambda_router_queue.queue_keys import GROUP
from tests.protocol.conftest import QUEUE, Callers, Hand

NAME = "leaving"


def names(db: Any) -> set[str]:
    return {consumer["name"] for stream in QUEUE.streams for consumer in db.xinfo_consumers(stream, GROUP)}


class LateDelivery:
    """A connection on which a waiting job of each stream reaches the worker just before its command of that number."""

    def __init__(self, redis: Any, db: Any, before: int) -> None:
        self._redis = redis
        self._db = db
        self._before = before
        self.commands = 0

    async def execute(self, *parts: Any) -> Any:
        self.commands += 1
        if self.commands == self._before:
            self._db.xreadgroup(GROUP, NAME, dict.fromkeys(QUEUE.streams, ">"), count=1)
        return await self._redis.execute(*parts)


def test_an_entry_that_is_delivered_while_the_worker_leaves_is_taken_over(
    queue: Callers, hands: Callable[..., Hand], db: Any
) -> None:
    before, commands = 1, 1
    while before <= commands:
        leaving, other = hands(NAME), hands("other", lease_ms=0)
        leaving.call("beat", 1)
        sent = {queue.send_one() for _ in range(20)}
        leaving.queue._redis = late = LateDelivery(leaving.queue._redis, db, before)  # type: ignore[assignment]

        leaving.call("leave")

        claims = [*other.claim(20), *other.call("reclaim", 20)]
        assert {claim.job_id for claim in claims} == sent, f"delivered before command {before}"
        db.flushall()
        before, commands = before + 1, late.commands


@pytest.mark.parametrize("holds", [False, True], ids=["idle", "holding a job"])
def test_a_worker_that_left_counts_no_more_and_its_name_stays_only_for_what_it_holds(
    queue: Callers, hands: Callable[..., Hand], db: Any, holds: bool
) -> None:
    leaving, other = hands(NAME), hands("other", lease_ms=0)
    leaving.call("beat", 3)
    queue.send_one("a")
    leaving.call("complete", leaving.begin(), "1")
    held = [queue.send_one("b")] if holds else []
    leaving.claim(len(held))

    leaving.call("leave")

    assert (db.zcard(QUEUE.workers), int(db.hget(QUEUE.flow, "slots"))) == (0, 0)
    assert names(db) == ({NAME} if holds else set())
    assert [claim.job_id for claim in other.call("reclaim", 5)] == held


def test_leaving_a_queue_that_was_emptied_meanwhile_is_no_error(hands: Callable[..., Hand], db: Any) -> None:
    leaving = hands(NAME)
    leaving.call("beat", 1)
    db.flushall()

    leaving.call("leave")

    assert db.zcard(QUEUE.workers) == 0
