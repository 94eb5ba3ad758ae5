"""Turns of an idle worker: one call that claims, sweeps and beats, and tells when to look again."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lambda_router_worker.queue.due_jobs import DueJobs
from tests.protocol.conftest import QUEUE, Callers, Hand

LONG = 60_000


def known(hand: Hand) -> list[float]:
    """The due times that a worker knows."""
    return hand.queue.due._times


def test_a_turn_claims_as_a_claim_does_and_what_was_given_back_first(
    queue: Callers, hands: Callable[..., Hand]
) -> None:
    first, second = hands("worker-1"), hands("worker-2")
    jobs = [queue.send_one() for _ in range(3)]
    first.call("release", first.claim_one())

    claims, _ = second.call("turn", 2, LONG)

    assert [claim.job_id for claim in claims] == jobs[:2]


def test_a_turn_takes_over_what_a_silent_worker_left_once_nothing_else_waits(
    queue: Callers, hands: Callable[..., Hand]
) -> None:
    silent, idle = hands("silent", lease_ms=0), hands("idle", lease_ms=0)
    left = queue.send_one()
    silent.begin()
    waiting = queue.send_one("bob")

    turns = [idle.call("turn", 1, LONG)[0] for _ in range(2)]

    assert [[claim.job_id for claim in claims] for claims in turns] == [[waiting], [left]]


@pytest.mark.parametrize(("wait_ms", "sooner"), [(1_000, False), (2 * LONG, True)], ids=["later", "before"])
def test_a_turn_tells_when_a_lease_may_end_before_the_next_one(
    queue: Callers, hands: Callable[..., Hand], wait_ms: int, sooner: bool
) -> None:
    busy, idle = hands("busy", lease_ms=LONG), hands("idle", lease_ms=LONG)
    queue.send_one()
    busy.begin()

    claims, next_ms = idle.call("turn", 1, wait_ms)

    assert claims == []
    assert (next_ms < wait_ms) if sooner else (next_ms == wait_ms)
    assert next_ms > 0


def test_a_turn_tells_when_the_soonest_delayed_jobs_are_due(queue: Callers, hand: Hand) -> None:
    for seconds in (30, 20, *[600] * 12):
        queue.send_one(delay_seconds=seconds)

    hand.call("turn", 1, LONG)

    first, second, *others = known(hand)
    assert 9 < second - first < 11
    assert len(others) == 8


def test_a_worker_remembers_when_its_own_retry_is_due(queue: Callers, hand: Hand) -> None:
    queue.send_one()

    assert hand.call("retry", hand.begin(), LONG, 3, "busy", "Busy.") == "scheduled"

    assert len(known(hand)) == 1


def test_a_turn_beats_only_if_it_is_told_the_concurrency(queue: Callers, hand: Hand, db: Any) -> None:
    hand.call("turn", 1, LONG)
    before = db.zrange(QUEUE.workers, 0, -1)
    hand.call("turn", 1, LONG, 4)

    assert (before, db.zrange(QUEUE.workers, 0, -1)) == ([], ["4 worker-1"])
    assert db.hget(QUEUE.flow, "slots") == "4"


# The next look


async def looked(due: DueJobs, seconds: float) -> bool:
    """It looks within that time."""
    try:
        async with asyncio.timeout(seconds):
            await due.until_look()
    except TimeoutError:
        return False
    return True


async def known_before(due: DueJobs) -> None:
    due.are([50, 3_600_000], 3_600)


async def delayed_by_itself(due: DueJobs) -> None:
    due.are([], 3_600)
    asyncio.get_running_loop().call_later(0.05, due.add, 50)


async def busy_since(due: DueJobs) -> None:
    due.are([], 3_600)
    asyncio.get_running_loop().call_later(0.05, due.are_unknown)


@pytest.mark.parametrize(
    ("learn", "look_every"),
    [(known_before, 3_600), (delayed_by_itself, 3_600), (busy_since, 0.05)],
    ids=["known before", "delayed by itself", "unknown to a busy worker"],
)
def test_a_worker_looks_when_a_job_is_due(learn: Callable[[DueJobs], Any], look_every: float) -> None:
    async def scenario() -> bool:
        due = DueJobs(look_every, least=0.0)
        await learn(due)
        return await looked(due, 20)

    assert asyncio.run(scenario())


def test_a_worker_that_knows_of_no_job_does_not_look_before_its_next_turn() -> None:
    async def scenario() -> bool:
        due = DueJobs(look_every=0.01, least=0.0)
        due.are([3_600_000], 3_600)
        return await looked(due, 0.3)

    assert not asyncio.run(scenario())


def test_jobs_that_come_due_one_after_the_other_share_a_look() -> None:
    async def scenario() -> bool:
        due = DueJobs(look_every=3_600, least=3_600)
        due.are([1, 2, 3], 3_600)
        return await looked(due, 0.3)

    assert not asyncio.run(scenario())
