"""Dead letters that operators send round again, two of them at a time and late."""

from collections.abc import Callable
from typing import Any

import pytest

from lambda_router_queue.queue_keys import GROUP
from lambda_router_worker.queue.work_queue import Lease
from tests.protocol.conftest import QUEUE, Callers, Hand, Operator


def bury(queue: Callers, hand: Hand, **body: Any) -> str:
    job_id = queue.send_one(**body)
    assert hand.call("retry", hand.begin(), 0, 1, "backend_busy", "Busy.") == "dead"
    return job_id


def complete(queue: Callers, hand: Hand, job_id: str) -> None:
    assert hand.call("complete", hand.begin(), '"result"') == "done"


def fail(queue: Callers, hand: Hand, job_id: str) -> None:
    assert hand.call("fail", hand.begin(), '{"code": "no", "message": "No."}') == "done"


def cancel(queue: Callers, hand: Hand, job_id: str) -> None:
    assert queue.cancel(job_id).status == "cancelled"


@pytest.mark.parametrize("meanwhile", [complete, fail, cancel])
def test_a_letter_that_another_operator_sent_round_again_changes_nothing_more(
    queue: Callers, hand: Hand, db: Any, meanwhile: Callable[[Callers, Hand, str], None]
) -> None:
    job_id = bury(queue, hand)
    first, second = Operator(hand, job_id), Operator(hand, job_id)
    assert first.retry() == "queued"
    meanwhile(queue, hand, job_id)
    before = queue.look(job_id), db.hgetall(QUEUE.job(job_id)), db.hgetall(QUEUE.flow)

    assert second.retry() == "gone"

    assert (queue.look(job_id), db.hgetall(QUEUE.job(job_id)), db.hgetall(QUEUE.flow)) == before
    assert hand.claim(5) == []


@pytest.mark.parametrize("record_is_there", [True, False], ids=["record", "no record"])
def test_a_letter_that_another_operator_discarded_is_gone(
    queue: Callers, hand: Hand, db: Any, record_is_there: bool
) -> None:
    job_id = bury(queue, hand)
    first, second = Operator(hand, job_id), Operator(hand, job_id)
    assert first.discard()
    if not record_is_there:
        db.delete(QUEUE.job(job_id))

    assert second.retry() == "gone"

    assert db.exists(QUEUE.job(job_id)) == record_is_there
    assert hand.claim(5) == []


def test_an_old_letter_of_a_job_that_was_given_up_on_again_does_not_stand_for_the_new_one(
    queue: Callers, hand: Hand, db: Any
) -> None:
    job_id = bury(queue, hand)
    first, second = Operator(hand, job_id), Operator(hand, job_id)
    first.retry()
    assert hand.call("retry", hand.begin(), 0, 1, "backend_busy", "Busy.") == "dead"

    assert second.retry() == "gone"

    assert db.xlen(QUEUE.dead) == 1
    assert Operator(hand, job_id).retry() == "queued"


@pytest.mark.parametrize("look", ["start", "reject"])
def test_an_entry_of_the_same_id_in_another_stream_is_another_entry(
    queue: Callers, hand: Hand, db: Any, look: str
) -> None:
    """A letter that is sent round again within the millisecond may get the id that the entry before it had."""
    job_id = queue.send_one()
    old = hand.claim_one()
    line = len(QUEUE.streams) - 1
    assert db.xadd(QUEUE.streams[line], {"id": job_id, "job": old.envelope}, old.entry_id) == old.entry_id
    db.hset(QUEUE.job(job_id), "stream", line)
    db.xack(old.stream, GROUP, old.entry_id)
    db.xdel(old.stream, old.entry_id)

    if look == "start":
        assert hand.start(old) == "stale"
    else:
        assert hand.call("reject", old, "alice", "unreadable", "No.") == "gone"

    assert queue.look(job_id).status == "queued"
    new = hand.claim_one()
    assert (new.stream, new.entry_id) == (QUEUE.streams[line], old.entry_id)
    assert isinstance(hand.start(new), Lease)


HOUR = 3600
LONGER_STORED = {"store_result_seconds": 72 * HOUR, "idempotency_seconds": 60}
LONGER_REMEMBERED = {"store_result_seconds": 60, "idempotency_seconds": 72 * HOUR}


@pytest.mark.parametrize("policy", [LONGER_STORED, LONGER_REMEMBERED], ids=["stored", "remembered"])
@pytest.mark.parametrize("end", [complete, cancel], ids=["complete", "cancel"])
def test_a_job_sent_round_again_is_kept_as_long_as_its_caller_was_promised(
    queue: Callers,
    hand: Hand,
    db: Any,
    policy: dict[str, int],
    end: Callable[[Callers, Hand, str], None],
) -> None:
    caller = queue.under(**policy)
    (decision,) = caller.send(key="k", ttl_seconds=60).decisions
    assert hand.call("retry", hand.begin(), 0, 1, "backend_busy", "Busy.") == "dead"

    assert Operator(hand, decision.job_id).retry() == "queued"
    alive = [db.pttl(QUEUE.job(decision.job_id))]
    end(queue, hand, decision.job_id)
    alive.append(db.pttl(QUEUE.job(decision.job_id)))

    assert min(alive) > 71 * HOUR * 1000
    assert db.pttl(QUEUE.idempotency("alice", "k")) <= min(alive) <= db.pttl(QUEUE.owner("alice"))
