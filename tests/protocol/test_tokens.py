"""No two attempts of a job share a token, and a worker that was replaced changes nothing, whatever happened since."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lambda_router_worker.queue.work_queue import Lease
from tests.protocol.conftest import QUEUE, Callers, Hand

SHORT_MS = 60
#: What a clock that was set back by an hour had said, in microseconds.
AN_HOUR_AHEAD = 3_600_000_000


def lapse() -> None:
    time.sleep(SHORT_MS / 1000 * 1.5)


def taken_over(hand: Hand) -> Lease | str:
    (claim,) = hand.call("reclaim", 1)
    return hand.start(claim)


@contextmanager
def forgotten(db: Any) -> Iterator[None]:
    """What happens in here is lost, as with a primary that dies before its replica has heard of it."""
    before = {key: dumped for key in db.scan_iter() if (dumped := db.dump(key))}
    yield
    for key in [*db.scan_iter()]:
        db.delete(key)
    for key, dumped in before.items():
        db.restore(key, 0, dumped)


@pytest.fixture(params=["record is there", "record is gone"])
def redriven(
    request: pytest.FixtureRequest, queue: Callers, hands: Callable[..., Hand], db: Any, command: Any
) -> tuple[str, Hand, Lease]:
    """A job whose worker slept until it was given up on and sent round again: its id, that worker and its lease."""
    suspended, other = hands("suspended", lease_ms=SHORT_MS), hands("other", lease_ms=SHORT_MS, max_deaths=1)
    job_id = queue.send_one()
    lease = suspended.begin()
    lapse()
    assert taken_over(other) == "dead"
    if request.param == "record is gone":
        db.delete(QUEUE.job(job_id))
    assert command("dead", "retry", job_id).output == f"{job_id}: queued\n"
    return job_id, suspended, lease


STALE = {
    "renew": (),
    "complete": ('"stale"',),
    "fail": ('{"code": "stale", "message": "Stale."}',),
    "retry": (0, 1, "stale", "Stale."),
    "give_back": ("begun",),
}


@pytest.mark.parametrize("step", STALE)
def test_a_worker_that_sleeps_through_a_redrive_is_told_that_it_lost_its_job(
    redriven: tuple[str, Hand, Lease], queue: Callers, hands: Callable[..., Hand], db: Any, step: str
) -> None:
    job_id, suspended, old = redriven
    new = hands("new").begin()

    assert new.token > old.token
    assert suspended.call(step, old, *STALE[step]) == "lost"

    assert hands("new").call("complete", new, '"fresh"') == "done"
    assert queue.look(job_id).result == "fresh"
    assert db.xlen(QUEUE.dead) == 0


@pytest.mark.parametrize("step", STALE)
def test_it_is_told_so_before_anybody_else_begins_and_after_the_job_was_given_up_on_again(
    redriven: tuple[str, Hand, Lease], hand: Hand, step: str
) -> None:
    _, suspended, old = redriven

    assert suspended.call(step, old, *STALE[step]) == "lost"
    assert hand.call("reject", hand.claim_one(), "alice", "unreadable", "No.") == "dead"
    assert suspended.call(step, old, *STALE[step]) == "lost"


def test_a_worker_whose_job_was_given_up_on_is_not_told_that_its_own_error_was_written(
    queue: Callers, hands: Callable[..., Hand]
) -> None:
    suspended, other = hands("suspended", lease_ms=SHORT_MS), hands("other", lease_ms=SHORT_MS, max_deaths=1)
    job_id = queue.send_one()
    lease = suspended.begin()
    lapse()
    assert taken_over(other) == "dead"

    assert suspended.call("fail", lease, json.dumps({"code": "stale", "message": "Stale."})) == "failed"

    error = queue.look(job_id).error
    assert error is not None
    assert error.code == "worker_died"


def test_tokens_grow_over_a_redrive_though_the_clock_was_set_back_and_the_record_is_gone(
    queue: Callers, hands: Callable[..., Hand], db: Any, command: Any
) -> None:
    hand, other = hands(lease_ms=SHORT_MS), hands("other", lease_ms=SHORT_MS, max_deaths=1)
    job_id = queue.send_one()
    ahead = int(db.time()[0]) * 1_000_000 + AN_HOUR_AHEAD
    db.hset(QUEUE.job(job_id), "lease_token", ahead)
    first = hand.begin()
    lapse()
    assert taken_over(other) == "dead"
    db.delete(QUEUE.job(job_id))
    command("dead", "retry", job_id)

    second = hand.begin()

    assert ahead < first.token < second.token < ahead + AN_HOUR_AHEAD


@pytest.mark.parametrize("clock_set_back", [False, True], ids=["", "the clock was set back"])
def test_a_failover_that_loses_a_start_gives_no_two_attempts_one_token(
    queue: Callers, hands: Callable[..., Hand], db: Any, clock_set_back: bool
) -> None:
    lost, new = hands("lost"), hands("new")
    job_id = queue.send_one()
    if clock_set_back:
        db.hset(QUEUE.job(job_id), "lease_token", int(db.time()[0]) * 1_000_000 + AN_HOUR_AHEAD)
    with forgotten(db):
        old = lost.begin()
    lease = new.begin()

    assert lost.call("renew", old) == "lost"
    assert lost.call("complete", old, '"of the attempt that is forgotten"') == "lost"
    assert new.call("complete", lease, '"right"') == "done"

    assert queue.look(job_id).result == "right"


def test_a_token_is_an_integer_that_every_language_can_hold(queue: Callers, hand: Hand) -> None:
    queue.send_one()

    assert 0 < hand.begin().token < 2**53
