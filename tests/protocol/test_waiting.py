"""Delays, deadlines, retries: what happens while no worker has the job."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.protocol.conftest import QUEUE, Callers, Hand


def due_now(db: Any, job_id: str) -> None:
    """Let the time pass that a scheduled job waits for."""
    db.zadd(QUEUE.scheduled, {job_id: 1})


def expire(db: Any, job_id: str) -> None:
    """Let the time pass within which the job was to be started."""
    db.hset(QUEUE.job(job_id), "deadline_at", 1)


def test_a_delayed_job_waits_outside_the_streams_until_its_time(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one(delay_seconds=60)
    assert (hand.call("promote"), hand.claim()) == (0, [])
    assert queue.look(job_id).position is None

    due_now(db, job_id)

    assert hand.call("promote") == 1
    assert hand.claim_one().job_id == job_id
    assert db.hexists(QUEUE.job(job_id), "envelope") is False


def test_a_delayed_job_may_wait_its_whole_ttl_after_the_delay(queue: Callers, db: Any) -> None:
    record = db.hgetall(QUEUE.job(queue.send_one(delay_seconds=100, ttl_seconds=10)))

    assert int(record["deadline_at"]) - int(record["created_at"]) == 110_000


def test_a_promoted_job_is_in_line_once_even_when_promoted_twice(queue: Callers, hand: Hand, db: Any) -> None:
    due_now(db, queue.send_one(delay_seconds=60))

    assert [hand.call("promote"), hand.call("promote")] == [1, 0]

    assert len(hand.claim(5)) == 1


def test_a_delayed_job_can_be_cancelled(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one(delay_seconds=60)

    assert queue.cancel(job_id).status == "cancelled"

    assert db.zcard(QUEUE.scheduled) == 0
    assert db.hexists(QUEUE.job(job_id), "envelope") is False


def test_a_job_not_started_in_time_expires_without_being_started(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()
    claim = hand.claim_one()
    expire(db, job_id)

    assert hand.start(claim) == "expired"

    job = queue.look(job_id)
    assert (job.status, job.attempts, job.started_at) == ("expired", 0, None)


def test_looking_at_a_job_past_its_deadline_shows_it_expired_and_frees_its_place(
    queue: Callers, hand: Hand, db: Any
) -> None:
    job_id = queue.send_one()
    expire(db, job_id)

    assert queue.look(job_id).status == "expired"

    assert hand.claim() == []
    assert db.zcard(QUEUE.open_jobs("alice")) == 0


def test_a_retried_job_waits_its_delay_and_is_tried_again(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()
    lease = hand.begin()
    before = time.time() * 1000

    assert hand.call("retry", lease, 5_000, 3, "busy", "Busy.") == "scheduled"

    assert queue.look(job_id).status == "queued"
    assert 4_000 < db.zscore(QUEUE.scheduled, job_id) - before < 7_000
    due_now(db, job_id)
    hand.call("promote")
    again = hand.begin()
    assert (again.attempts, again.token > lease.token) == (2, True)
    assert hand.call("complete", again, "1") == "done"
    assert queue.look(job_id).attempts == 2


def test_a_retry_sent_twice_schedules_once(queue: Callers, hand: Hand, db: Any) -> None:
    queue.send_one()
    lease = hand.begin()

    assert [hand.call("retry", lease, 5_000, 3, "x", "x") for _ in (1, 2)] == ["scheduled", "scheduled"]

    assert db.zcard(QUEUE.scheduled) == 1


def test_a_retrying_job_does_not_expire_by_its_first_deadline(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()
    hand.call("retry", hand.begin(), 0, 3, "x", "x")
    expire(db, job_id)

    assert queue.look(job_id).status == "queued"
    hand.call("promote")
    assert hand.begin().attempts == 2


def test_a_retrying_job_can_be_cancelled(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()
    lease = hand.begin()
    hand.call("retry", lease, 0, 3, "x", "x")

    assert queue.cancel(job_id).status == "cancelled"

    assert (hand.call("promote"), hand.claim()) == (0, [])
    assert hand.call("complete", lease, "1") == "cancelled"


def test_the_last_attempt_goes_to_the_dead_letters(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()
    for attempt in (1, 2, 3):
        lease = hand.begin()
        verdict = hand.call("retry", lease, 0, 3, "busy", "The server is busy.")
        hand.call("promote")
        assert verdict == ("dead" if attempt == 3 else "scheduled")

    assert hand.call("retry", lease, 0, 3, "busy", "again") == "dead"

    job = queue.look(job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error.message == "The server is busy."
    assert db.xlen(QUEUE.dead) == 1


@pytest.mark.parametrize("state", ["waiting", "delayed", "retrying", "running"])
def test_an_open_job_counts_against_its_callers_cap(
    queue: Callers, hands: Callable[..., Hand], db: Any, state: str
) -> None:
    hand = hands()
    queue.send_one(delay_seconds=60 if state == "delayed" else 0)
    if state in {"running", "retrying"}:
        lease = hand.begin()
        if state == "retrying":
            hand.call("retry", lease, 60_000, 3, "x", "x")

    (decision,) = queue.under(open_jobs_cap=1).send().decisions

    assert decision.verdict == "open"


@pytest.mark.parametrize("state", ["waiting", "delayed", "running"])
def test_an_open_job_counts_against_the_queues_cap(queue: Callers, hands: Callable[..., Hand], state: str) -> None:
    hand = hands()
    queue.send_one(delay_seconds=60 if state == "delayed" else 0)
    if state == "running":
        hand.begin()

    (decision,) = queue.under(queue_cap=1).send("bob").decisions

    assert decision.verdict == "full"


def test_the_queues_cap_is_exact_however_fast_jobs_come_and_go(queue: Callers, hands: Callable[..., Hand]) -> None:
    """The streams are counted once a second: what has left since must not keep others out, nor let too many in."""
    hand, capped = hands(), queue.under(queue_cap=5)

    def verdicts(count: int) -> list[str]:
        return [decision.verdict for _ in range(count) for decision in capped.send().decisions]

    assert verdicts(7) == ["accepted"] * 5 + ["full"] * 2
    for _ in range(3):
        for _ in range(2):
            hand.call("complete", hand.begin(), "1")
        assert verdicts(3) == ["accepted", "accepted", "full"]


@pytest.mark.parametrize("delay", [0, 60], ids=["waiting", "delayed"])
def test_the_queues_cap_is_exact_for_many_jobs_within_a_second(queue: Callers, delay: int) -> None:
    capped = queue.under(queue_cap=100)

    verdicts = [decision.verdict for _ in range(150) for decision in capped.send(delay_seconds=delay).decisions]

    assert verdicts == ["accepted"] * 100 + ["full"] * 50


def test_a_count_of_the_streams_that_is_wrong_is_mended_within_a_second(queue: Callers, db: Any) -> None:
    queue.send_one()
    db.hset(QUEUE.flow, mapping={"depth": 0, "depth_at": db.hget(QUEUE.flow, "depth_at")})
    db.hincrby(QUEUE.flow, "depth_at", -1_001)  # a second passes

    queue.send_one()

    assert int(db.hget(QUEUE.flow, "depth")) == 1
    (decision,) = queue.under(queue_cap=2).send("bob").decisions
    assert decision.verdict == "full"
