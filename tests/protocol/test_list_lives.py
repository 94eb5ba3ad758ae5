"""How long a caller's two lists live: as long as every record that they name, and not without end."""

from typing import Any

import pytest

from tests.protocol.conftest import QUEUE, Callers, Hand

LISTS = [QUEUE.owner("alice"), QUEUE.open_jobs("alice")]
HOUR_MS = 3_600_000
TEN_DAYS = 10 * 86_400


def a_second_passes(db: Any) -> None:
    """The next job has the queue's jobs counted anew."""
    db.hincrby(QUEUE.flow, "depth_at", -1_001)


def send_briefly(queue: Callers, ttl_seconds: int) -> str:
    """A job whose record is gone a minute after its time is up."""
    return queue.under(store_result_seconds=60, idempotency_seconds=60).send_one(ttl_seconds=ttl_seconds)


def finish_one_that_is_kept_for_ten_days(queue: Callers) -> None:
    queue.cancel(queue.under(store_result_seconds=TEN_DAYS).send_one())


def test_the_lists_live_as_long_as_the_job(queue: Callers, db: Any) -> None:
    job_id = queue.send_one()

    assert min(map(db.pttl, LISTS)) >= db.pttl(QUEUE.job(job_id)) > 0


def test_a_list_of_open_jobs_that_was_empty_meanwhile_lives_as_long_as_the_new_job(queue: Callers, db: Any) -> None:
    """It is gone with the last of them, and a new one has no end of its own."""
    finish_one_that_is_kept_for_ten_days(queue)

    job_id = send_briefly(queue, ttl_seconds=600)

    assert min(map(db.pttl, LISTS)) >= db.pttl(QUEUE.job(job_id)) > 0


def test_a_list_of_open_jobs_that_a_worker_began_anew_lives_as_long_as_the_next_job(
    queue: Callers, hand: Hand, db: Any
) -> None:
    """The job at work was not counted for a while, as after the death of its worker; its own life is short."""
    finish_one_that_is_kept_for_ten_days(queue)
    send_briefly(queue, ttl_seconds=60)
    lease = hand.begin()
    db.delete(QUEUE.open_jobs("alice"))
    assert hand.call("renew", lease) == "run"

    send_briefly(queue, ttl_seconds=3_600)

    assert db.pttl(QUEUE.open_jobs("alice")) > HOUR_MS


@pytest.mark.parametrize("kept", ["shortly", "for ten days"])
def test_what_no_longer_counts_as_open_is_taken_off_within_a_second(queue: Callers, db: Any, kept: str) -> None:
    """However long the list itself lives, or a caller whose jobs nobody works would fill it."""
    if kept == "for ten days":
        finish_one_that_is_kept_for_ten_days(queue)
    first = send_briefly(queue, ttl_seconds=60)
    db.zadd(QUEUE.open_jobs("alice"), {first: 1})
    a_second_passes(db)

    second = send_briefly(queue, ttl_seconds=60)

    assert db.zrange(QUEUE.open_jobs("alice"), 0, -1) == [second]
