"""Position and estimate: what a waiting caller is told."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from lambda_router_queue.queue_keys import LANES
from lambda_router_worker.queue.work_queue import Lease
from tests.protocol.conftest import QUEUE, Callers, Hand


def test_the_only_job_is_next(queue: Callers, hand: Hand) -> None:
    assert queue.look(queue.send_one()).position == 1


def test_positions_count_down_as_jobs_start(queue: Callers, hand: Hand) -> None:
    queue.send(count=16)
    last = [decision.job_id for decision in queue.send(count=4).decisions][-1]
    seen = []
    while (position := queue.look(last).position) is not None:
        seen.append(position)
        hand.begin()

    assert seen == sorted(seen, reverse=True)
    assert seen[0] >= 10
    assert seen[-1] <= LANES


def test_a_cancelled_job_ahead_moves_the_others_up(queue: Callers, hand: Hand) -> None:
    first, second = queue.send_one("a"), queue.send_one("b")
    before = queue.look(second, "b").position

    queue.cancel(first, "a")

    assert (before, queue.look(second, "b").position) == (2, 1)


@pytest.mark.parametrize("begun", [True, False], ids=["at work", "claimed"])
def test_a_job_whose_record_is_gone_leaves_the_line_once_however_often_it_is_met(
    queue: Callers, hands: Callable[..., Hand], db: Any, begun: bool
) -> None:
    """With its worker dead, its entry is taken over; who takes it over has no record to go by."""
    dead, other = hands("dead"), hands("other", lease_ms=0)
    gone = queue.send_one("a")
    later = [queue.send_one(owner) for owner in "bc"]
    claim = dead.claim_one()
    if begun:
        assert isinstance(dead.start(claim), Lease)
    db.delete(QUEUE.job(gone))

    taken = [other.call("reclaim", 10) for _ in range(2)]

    assert [[other.start(claim) for claim in some] for some in taken] == [["abandoned" if begun else "gone"], ["gone"]]
    assert [queue.look(job_id, owner).position for job_id, owner in zip(later, "bc", strict=True)] == [1, 2]


def test_a_job_whose_claim_a_failover_lost_leaves_the_line_with_its_record(queue: Callers, hand: Hand, db: Any) -> None:
    """Its entry is there and claimed by nobody, so that it still counts."""
    gone, waits = queue.send_one("a"), queue.send_one("b")
    claim = hand.claim_one()
    db.xack(claim.stream, "workers", claim.entry_id)
    db.delete(QUEUE.job(gone))

    assert [hand.start(claim), hand.start(claim)] == ["gone", "gone"]

    assert queue.look(waits, "b").position == 1


@pytest.mark.parametrize("fate", ["record gone", "sent round again", "cancelled"])
@pytest.mark.parametrize("how", ["start", "reject"])
def test_an_entry_that_no_record_names_leaves_the_line_once(
    queue: Callers, hands: Callable[..., Hand], db: Any, how: str, fate: str
) -> None:
    hand, other = hands("one"), hands("other", lease_ms=0)
    gone = queue.send_one("a")
    later = queue.send_one("b")
    claims = [hand.claim_one(), *other.call("reclaim", 1)]
    if fate == "record gone":
        db.delete(QUEUE.job(gone))
    elif fate == "cancelled":
        queue.cancel(gone, "a")
    else:
        db.hset(QUEUE.job(gone), "stream_id", "9-9")

    for claim in claims:
        if how == "start":
            assert hand.start(claim) in {"gone", "cancelled", "stale"}
        else:
            assert hand.call("reject", claim, "a", "unreadable", "No worker could read it.") == "gone"

    assert queue.look(later, "b").position == 1
    assert waiting(db) == 1


def waiting(db: Any) -> int:
    """Jobs in all lines, by the counters."""
    figures = {
        name: int(count) for name, count in db.hgetall(QUEUE.flow).items() if name.startswith(("added:", "left:"))
    }
    return sum(count if name.startswith("added:") else -count for name, count in figures.items())


def test_a_single_job_is_told_its_fair_place_not_the_end_of_the_line(queue: Callers, hand: Hand) -> None:
    queue.send("greedy", count=500)

    position = queue.look(queue.send_one("modest"), "modest").position

    assert position is not None
    assert position <= 2 * LANES


def test_without_workers_there_is_no_estimate(queue: Callers, hand: Hand) -> None:
    assert queue.look(queue.send_one()).estimated_start_at is None


def test_the_estimate_follows_service_time_and_living_workers(queue: Callers, hand: Hand, db: Any) -> None:
    hand.call("beat", 2)
    db.hset(QUEUE.flow, "service_ms", "10000")
    ids = [decision.job_id for decision in queue.send(count=9).decisions]

    waits = [seconds_until_start(queue, job_id) for job_id in (ids[0], ids[-1])]

    assert waits[0] <= 10
    assert 25 < waits[1] < 40


def test_a_worker_that_left_no_longer_counts(queue: Callers, hands: Any) -> None:
    one, two = hands("one"), hands("two")
    one.call("beat", 3)
    two.call("beat", 5)
    assert slots(one) == 8

    two.call("beat", 0)

    assert slots(one) == 3


def test_a_running_or_final_job_has_no_place(queue: Callers, hand: Hand) -> None:
    job_id = queue.send_one()
    lease = hand.begin()
    assert queue.look(job_id).position is None
    hand.call("complete", lease, "1")
    assert queue.look(job_id).position is None


def test_a_delayed_job_is_estimated_to_start_when_it_is_due(queue: Callers, hand: Hand) -> None:
    assert 55 < seconds_until_start(queue, queue.send_one(delay_seconds=60)) <= 60


def seconds_until_start(queue: Callers, job_id: str) -> float:
    job = queue.look(job_id)
    assert job.estimated_start_at is not None
    created, start = (datetime.fromisoformat(moment) for moment in (job.created_at, job.estimated_start_at))
    return (start - created).total_seconds()


def slots(hand: Hand) -> int:
    return int(hand.run(hand.queue._redis.execute("HGET", QUEUE.flow, "slots")))
