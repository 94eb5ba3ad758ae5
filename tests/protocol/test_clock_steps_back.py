"""The server's clock steps back by an hour: what was written before it bears times of an hour from now."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from chalicelib.limits import RatePolicy
from lambda_router_queue.flow import WORKERS_FRESH_MS
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.operations.queue_stats import Stats
from lambda_router_worker.queue.work_queue import SILENCE_MS
from tests.protocol.conftest import QUEUE, Callers, Hand

HOUR_MS = 3_600_000
RATE = RatePolicy(per_minute=600, burst=5)


def ahead_ms(db: Any, by_ms: int = HOUR_MS) -> int:
    """A time that far ahead of the server's clock."""
    seconds, microseconds = db.time()
    return int(seconds) * 1_000 + int(microseconds) // 1_000 + by_ms


def stats(hand: Hand) -> Stats:
    figures: Stats = hand.run(Operations(hand.queue._redis, QUEUE.queue).stats())
    return figures


def test_a_caller_is_refused_for_no_longer_than_one_that_has_used_up_its_burst(queue: Callers, db: Any) -> None:
    limited = queue.under(rate=RATE)
    limited.send(count=RATE.burst)
    db.set(QUEUE.rate("alice"), ahead_ms(db), px=HOUR_MS)

    refused = limited.send()
    (decision,) = refused.decisions

    assert decision.verdict == "rate"
    assert decision.wait_ms <= RATE.interval_ms
    assert refused.rate.reset_ms <= RATE.burst * RATE.interval_ms
    time.sleep(decision.wait_ms / 1_000)
    assert [decision.verdict for decision in limited.send(count=2).decisions] == ["accepted", "rate"]


def test_a_callers_burst_fills_up_again_after_it(queue: Callers, db: Any) -> None:
    limited = queue.under(rate=RATE)
    db.set(QUEUE.rate("alice"), ahead_ms(db), px=HOUR_MS)
    limited.send()

    time.sleep(RATE.interval_ms * RATE.burst / 1_000)

    assert [decision.verdict for decision in limited.send(count=RATE.burst).decisions] == ["accepted"] * RATE.burst


def test_no_job_is_estimated_to_start_in_the_past(queue: Callers, hand: Hand, db: Any) -> None:
    hand.call("beat", 1)
    done = queue.send_one()
    lease = hand.begin()
    db.hset(QUEUE.job(done), "attempt_at", ahead_ms(db))
    db.hset(QUEUE.flow, "finished_at", ahead_ms(db))
    hand.call("complete", lease, "1")
    waiting = [decision.job_id for decision in queue.send(count=9).decisions]

    job = queue.look(waiting[-1])

    assert job.estimated_start_at is not None
    assert datetime.fromisoformat(job.estimated_start_at) >= datetime.fromisoformat(job.created_at)
    assert [float(value) for value in db.hmget(QUEUE.flow, "service_ms", "gap_ms")] == [0, 0]


def test_figures_that_were_negative_before_this_version_count_as_none(queue: Callers, hand: Hand, db: Any) -> None:
    hand.call("beat", 1)
    db.hset(QUEUE.flow, mapping={"service_ms": "-5000.000", "gap_ms": "-5000.000", "finished_at": ahead_ms(db)})
    queue.send(count=8)

    job = queue.look(queue.send_one())

    assert job.estimated_start_at is not None
    assert datetime.fromisoformat(job.estimated_start_at) >= datetime.fromisoformat(job.created_at)
    hand.call("complete", hand.begin(), "1")
    assert all(float(value) >= 0 for value in db.hmget(QUEUE.flow, "service_ms", "gap_ms"))


@pytest.mark.parametrize(
    ("by_ms", "counts"), [(SILENCE_MS + 5_000, False), (SILENCE_MS - 5_000, True)], ids=["long", "briefly"]
)
def test_a_worker_heard_of_in_the_future_counts_for_no_longer_than_the_silence(
    hands: Callable[..., Hand], db: Any, by_ms: int, counts: bool
) -> None:
    dead, living = hands("dead"), hands("living")
    dead.call("beat", 7)
    db.zadd(QUEUE.workers, {"7 dead": ahead_ms(db, by_ms)})
    assert stats(living).workers == int(counts)

    living.call("beat", 2)

    figures = stats(living)
    assert (figures.workers, figures.slots) == ((2, 9) if counts else (1, 2))


@pytest.mark.parametrize(
    ("by_ms", "counts"),
    [(WORKERS_FRESH_MS + 5_000, False), (WORKERS_FRESH_MS - 5_000, True)],
    ids=["long", "briefly"],
)
def test_places_counted_in_the_future_are_stale_beyond_the_silence(
    queue: Callers, hand: Hand, db: Any, by_ms: int, counts: bool
) -> None:
    hand.call("beat", 7)
    db.hset(QUEUE.flow, "slots_at", ahead_ms(db, by_ms))

    assert (queue.look(queue.send_one()).estimated_start_at is not None) == counts


def test_nothing_has_waited_for_less_than_no_time(queue: Callers, hand: Hand, db: Any) -> None:
    db.xadd(QUEUE.stream("normal", 0), {"id": "job_1", "job": "{}"}, id=f"{ahead_ms(db)}-0")

    assert stats(hand).priorities["normal"].oldest_seconds == 0


@pytest.mark.parametrize("away", [-3_600, 3_600], ids=["behind", "ahead"])
def test_what_an_operator_is_shown_goes_by_the_servers_clock(
    queue: Callers, hand: Hand, monkeypatch: pytest.MonkeyPatch, away: int
) -> None:
    """The operator's machine is an hour behind or ahead."""
    wall_clock = time.time
    monkeypatch.setattr(time, "time", lambda: wall_clock() + away)
    hand.call("beat", 1)

    assert stats(hand).workers == 1


def test_a_jobs_own_times_follow_one_another(queue: Callers, hand: Hand, db: Any) -> None:
    """Stored before the step and begun after it; begun before another step and finished after that."""
    job_id = queue.send_one()
    db.hset(QUEUE.job(job_id), "created_at", ahead_ms(db))
    lease = hand.begin()
    later = ahead_ms(db, 2 * HOUR_MS)
    db.hset(QUEUE.job(job_id), mapping={"started_at": later, "attempt_at": later})

    hand.call("complete", lease, "1")

    job = queue.look(job_id)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.created_at <= job.started_at <= job.finished_at
    assert db.pexpiretime(QUEUE.job(job_id)) == later + int(db.hget(QUEUE.job(job_id), "store_ms"))
    assert db.pttl(QUEUE.owner("alice")) >= db.pttl(QUEUE.job(job_id))


@pytest.mark.parametrize("again", [False, True], ids=["first start", "another start"])
def test_no_job_is_begun_before_it_was_stored(queue: Callers, hands: Callable[..., Hand], db: Any, again: bool) -> None:
    hand = hands(lease_ms=0)
    job_id = queue.send_one()
    if again:
        hand.begin()
    db.hset(QUEUE.job(job_id), "created_at", created := ahead_ms(db))

    hand.start(*(hand.call("reclaim", 1) if again else hand.claim()))

    assert int(db.hget(QUEUE.job(job_id), "attempt_at")) >= created
    assert again or int(db.hget(QUEUE.job(job_id), "started_at")) >= created
