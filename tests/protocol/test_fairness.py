"""Who goes next. The bounds asserted here are those that ``docs/fairness.md`` states."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from lambda_router_queue.queue_keys import LANES, PRIORITIES
from lambda_router_worker.queue.work_queue import Lease
from tests.protocol.conftest import QUEUE, Callers, Hand


def bound(other_callers: int) -> int:
    """Jobs that a caller's only job waits for: one of each other caller in its lane, and a turn of each other lane."""
    return LANES * (other_callers + 1) - 1


def claims_until(hand: Hand, job_id: str, at_most: int = 200) -> int:
    """How many jobs are claimed before that one."""
    for before in range(at_most):
        if hand.claim_one().job_id == job_id:
            return before
    pytest.fail(f"not among the first {at_most} claims")


@pytest.mark.timeout(180)
def test_a_caller_with_10_000_jobs_keeps_anothers_single_job_waiting_for_at_most_seven(
    queue: Callers, hand: Hand
) -> None:
    for _ in range(20):
        queue.send("greedy", count=500)

    single = queue.send_one("modest")

    assert claims_until(hand, single) <= bound(other_callers=1)


def test_a_single_job_waits_behind_one_job_of_each_other_caller_and_lane(queue: Callers, hand: Hand) -> None:
    for caller in range(10):
        queue.send(f"greedy-{caller}", count=50)

    single = queue.send_one("modest")

    assert claims_until(hand, single) <= bound(other_callers=10)


@pytest.mark.parametrize(("open_before", "lane"), [(0, 0), (1, 1), (3, 1), (4, 2), (15, 2), (16, 3), (100, 3)])
def test_the_lane_goes_by_how_many_open_jobs_the_caller_has(
    queue: Callers, db: Any, open_before: int, lane: int
) -> None:
    if open_before:
        queue.send(count=open_before)
    before = db.xlen(QUEUE.stream("normal", lane))

    queue.send_one()

    assert db.xlen(QUEUE.stream("normal", lane)) == before + 1


def test_a_caller_whose_jobs_are_done_starts_in_the_first_lane_again(queue: Callers, hand: Hand, db: Any) -> None:
    queue.send(count=2)
    for _ in range(2):
        hand.call("complete", hand.begin(), "1")

    queue.send_one()

    assert db.xlen(QUEUE.stream("normal", 0)) == 1


def begin_many(queue: Callers, hands: Callable[..., Hand]) -> list[Lease]:
    """One after another, each when the lease of the one before has lapsed: its worker is slow, or dead."""
    slow = hands("slow", lease_ms=1)
    leases = []
    for _ in range(5):
        queue.send_one("greedy")
        leases.append(slow.begin())
        time.sleep(0.01)
    return leases


def test_jobs_whose_leases_lapsed_give_a_caller_no_more_places_in_the_first_lane(
    queue: Callers, hands: Callable[..., Hand]
) -> None:
    hand = hands()
    leases = begin_many(queue, hands)
    queue.send("greedy", count=100)
    for lease in leases:
        assert hand.call("retry", lease, 0, 3, "busy", "Busy.") == "scheduled"
    assert hand.call("promote") == len(leases)

    single = queue.send_one("modest")

    assert claims_until(hand, single) <= bound(other_callers=1)


def test_a_job_whose_lease_lapsed_counts_against_its_callers_cap(queue: Callers, hands: Callable[..., Hand]) -> None:
    leases = begin_many(queue, hands)

    verdicts = [decision.verdict for decision in queue.under(open_jobs_cap=len(leases)).send("greedy").decisions]

    assert verdicts == ["open"]


def test_of_ten_turns_six_go_to_high_three_to_normal_one_to_low(queue: Callers, hand: Hand) -> None:
    for priority in PRIORITIES:
        queue.send(priority, count=100, priority=priority)

    picked = Counter(hand.job(claim).priority for claim in hand.claim(100))

    assert picked == {"high": 60, "normal": 30, "low": 10}


def test_a_low_job_is_claimed_within_ten_turns_however_many_high_ones_wait(queue: Callers, hand: Hand) -> None:
    queue.send("greedy", count=500, priority="high")

    low = queue.send_one("modest", priority="low")

    assert claims_until(hand, low) < 10


def test_an_empty_priority_passes_its_turns_on(queue: Callers, hand: Hand) -> None:
    queue.send(count=30, priority="low")

    assert len(hand.claim(30)) == 30


def test_a_claim_takes_exactly_as_many_as_asked_for(queue: Callers, hand: Hand) -> None:
    for priority in PRIORITIES:
        queue.send(priority, count=20, priority=priority)

    assert [len(hand.claim(count)) for count in (1, 7, 40, 40)] == [1, 7, 40, 12]


def test_turns_are_shared_by_all_workers(queue: Callers, hands: Any) -> None:
    one, two = hands("one"), hands("two")
    for priority in PRIORITIES:
        queue.send(priority, count=100, priority=priority)

    picked = Counter(hand.job(hand.claim_one()).priority for _ in range(20) for hand in (one, two))

    assert picked == {"high": 24, "normal": 12, "low": 4}
