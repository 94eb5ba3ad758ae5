"""A job that was begun ends in a dead letter where no worker takes it up again before its record is deleted."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.protocol.conftest import QUEUE, Callers, Hand, Operator

PROMPT = "words-of-the-caller"

#: What a worker did to the job that it began, before it went away.
type Left = Callable[[Hand, Any], None]


def died(hand: Hand, db: Any) -> None:
    hand.begin()


def gave_back(hand: Hand, db: Any) -> None:
    assert hand.call("give_back", hand.begin(), "begun") == "given back"


def gave_back_what_was_tried_before(hand: Hand, db: Any) -> None:
    gave_back(hand, db)
    assert hand.call("give_back", hand.begin(), "untouched") == "given back"


def retried(hand: Hand, db: Any) -> None:
    lease = hand.begin()
    assert hand.call("retry", lease, 0, 3, "busy", "Busy.") == "scheduled"


def retried_and_moved(hand: Hand, db: Any) -> None:
    retried(hand, db)
    assert hand.call("promote") == 1


def retried_by_a_worker_of_before_and_moved(hand: Hand, db: Any) -> None:
    """One that keeps the envelope in the record alone."""
    retried(hand, db)
    db.delete(QUEUE.retrying)
    assert hand.call("promote") == 1


def retried_moved_and_died(hand: Hand, db: Any) -> None:
    retried_and_moved(hand, db)
    hand.begin()


BEGUN = [
    died,
    gave_back,
    gave_back_what_was_tried_before,
    retried,
    retried_and_moved,
    retried_by_a_worker_of_before_and_moved,
    retried_moved_and_died,
]


@pytest.fixture
def finds(hands: Callable[..., Hand]) -> Callable[[], list[str]]:
    """A worker that comes when the record is gone, and what it is told about what it finds."""

    def find() -> list[str]:
        late = hands("late", lease_ms=0)
        late.call("promote")
        claims = late.claim(5) or late.call("reclaim", 5)
        return [str(late.start(claim)) for claim in claims]

    return find


def in_line(db: Any) -> int:
    flow = {name: int(count) for name, count in db.hgetall(QUEUE.flow).items() if name.startswith(("added:", "left:"))}
    return sum(count if name.startswith("added:") else -count for name, count in flow.items())


@pytest.mark.parametrize("store", [True, False], ids=["kept", "not kept"])
@pytest.mark.parametrize("left", BEGUN)
def test_a_job_that_was_begun_becomes_a_dead_letter_when_its_record_is_gone(
    queue: Callers, hand: Hand, db: Any, finds: Callable[[], list[str]], left: Left, store: bool
) -> None:
    job_id = queue.send_one(input={"prompt": PROMPT}, store=store)
    left(hand, db)
    db.delete(QUEUE.job(job_id))

    assert finds() in (["abandoned"], [])

    ((_, letter),) = db.xrange(QUEUE.dead)
    assert (letter["id"], letter["code"]) == (job_id, "abandoned")
    assert (json.loads(letter["job"])["input"]["prompt"] == PROMPT) if store else (letter["job"] == "")
    assert db.hget(QUEUE.flow, "failed") == "1"
    assert (in_line(db), db.exists(QUEUE.retrying), db.zcard(QUEUE.scheduled)) == (0, 0, 0)
    assert sum(db.xlen(stream) for stream in QUEUE.streams) == 0
    assert finds() == []


@pytest.mark.parametrize("left", BEGUN)
def test_an_operator_can_requeue_it(
    queue: Callers, hand: Hand, db: Any, finds: Callable[[], list[str]], left: Left
) -> None:
    job_id = queue.send_one()
    left(hand, db)
    db.delete(QUEUE.job(job_id))
    finds()

    assert Operator(hand, job_id).retry() == "queued"

    assert hand.call("complete", hand.begin(), '"at last"') == "done"
    assert queue.look(job_id).result == "at last"


def never_begun(hand: Hand, db: Any) -> None:
    pass


def only_claimed(hand: Hand, db: Any) -> None:
    hand.claim_one()


def released(hand: Hand, db: Any) -> None:
    hand.call("release", hand.claim_one())


def gave_back_untouched(hand: Hand, db: Any) -> None:
    assert hand.call("give_back", hand.begin(), "untouched") == "given back"


@pytest.mark.parametrize("left", [never_begun, only_claimed, released, gave_back_untouched])
def test_a_job_that_was_never_begun_leaves_nothing_when_its_record_is_gone(
    queue: Callers, hand: Hand, db: Any, finds: Callable[[], list[str]], left: Left
) -> None:
    """It had expired long before."""
    job_id = queue.send_one()
    left(hand, db)
    db.delete(QUEUE.job(job_id))

    assert finds() == ["gone"]

    assert (db.xlen(QUEUE.dead), in_line(db), sum(db.xlen(stream) for stream in QUEUE.streams)) == (0, 0, 0)
    assert db.hget(QUEUE.flow, "failed") is None


def test_a_delayed_job_that_was_never_begun_leaves_nothing_either(
    queue: Callers, db: Any, finds: Callable[[], list[str]]
) -> None:
    job_id = queue.send_one(delay_seconds=60)
    db.zadd(QUEUE.scheduled, {job_id: 1})
    db.delete(QUEUE.job(job_id))

    assert finds() == []

    assert (db.xlen(QUEUE.dead), db.zcard(QUEUE.scheduled), in_line(db)) == (0, 0, 0)


@pytest.mark.parametrize("left", [died, gave_back, retried_and_moved])
def test_a_worker_that_cannot_read_such_a_job_says_why_in_the_letter(
    queue: Callers, hand: Hand, hands: Callable[..., Hand], db: Any, left: Left
) -> None:
    job_id = queue.send_one()
    left(hand, db)
    db.delete(QUEUE.job(job_id))
    late = hands("late", lease_ms=0)
    (claim,) = late.claim() or late.call("reclaim", 1)

    assert late.call("reject", claim, "alice", "unreadable", "No.") == "dead"

    ((_, letter),) = db.xrange(QUEUE.dead)
    assert (letter["id"], letter["code"], db.hget(QUEUE.flow, "failed"), in_line(db)) == (job_id, "unreadable", "1", 0)


def test_what_waits_for_another_try_is_nowhere_else_once_it_has_left(queue: Callers, hand: Hand, db: Any) -> None:
    ends: list[Callable[[str], object]] = [queue.cancel, lambda job_id: hand.call("promote")]
    for end in ends:
        job_id = queue.send_one()
        retried(hand, db)
        assert list(db.hgetall(QUEUE.retrying)) == [job_id]
        end(job_id)
        assert db.exists(QUEUE.retrying) == 0
        hand.claim(5)


def test_a_worker_of_before_finds_what_waits_for_another_try_where_it_looks(
    queue: Callers, hand: Hand, db: Any
) -> None:
    job_id = queue.send_one(input={"prompt": PROMPT})
    retried(hand, db)

    assert json.loads(db.hget(QUEUE.job(job_id), "envelope"))["input"]["prompt"] == PROMPT


def test_what_a_router_or_worker_of_before_leaves_there_is_tidied_away(queue: Callers, hand: Hand, db: Any) -> None:
    waiting = queue.send_one()
    assert hand.call("retry", hand.begin(), 60_000, 3, "busy", "Busy.") == "scheduled"
    db.hset(QUEUE.retrying, mapping={f"job_{place}": "cancelled" for place in range(5)})

    hand.call("tidy", 3_600_000)

    assert list(db.hgetall(QUEUE.retrying)) == [waiting]
