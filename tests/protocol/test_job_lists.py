"""What a worker takes out of a caller's list of job ids, and what it never does."""

from typing import Any

import pytest

from lambda_router_worker.operations.operations import Operations
from tests.protocol.conftest import QUEUE, Callers, Hand

ALL = (0, 255)
LIST = QUEUE.owner("alice")


def listed(db: Any) -> list[str]:
    ids: list[str] = db.zrange(LIST, 0, -1)
    return ids


def lose_records(db: Any, *ids: str) -> None:
    """As if they had expired."""
    for job_id in ids:
        db.delete(QUEUE.job(job_id))


def test_ids_whose_records_are_gone_are_taken_out_and_counted(queue: Callers, hand: Hand, db: Any) -> None:
    gone, stays, gone_too = (queue.send_one() for _ in range(3))
    lose_records(db, gone, gone_too)

    assert hand.call("listed", "alice") == 3
    assert hand.call("forget", "alice", *ALL) == 2

    assert listed(db) == [stays]
    assert hand.call("forget", "alice", *ALL) == 0


def test_an_id_stays_in_whatever_state_its_job_is(queue: Callers, hand: Hand, db: Any) -> None:
    delayed = queue.send_one(delay_seconds=60)
    ids = {delayed, *(queue.send_one() for _ in range(5))}
    hand.call("complete", hand.begin(), "1")
    hand.call("retry", hand.begin(), 60_000, 3, "busy", "Busy.")
    hand.begin()  # at work
    hand.claim_one()  # claimed, not begun; one more waits

    assert hand.call("forget", "alice", *ALL) == 0

    assert set(listed(db)) == ids


def test_only_the_ranks_asked_for_are_looked_at(queue: Callers, hand: Hand, db: Any) -> None:
    for _ in range(4):
        queue.send_one()
    ids = listed(db)
    lose_records(db, *ids)

    assert hand.call("forget", "alice", 1, 2) == 2

    assert listed(db) == [ids[0], ids[3]]


@pytest.mark.parametrize("first", [0, 7], ids=["no list", "behind its end"])
def test_where_nothing_is_listed_nothing_is_removed(queue: Callers, hand: Hand, first: int) -> None:
    assert hand.call("listed", "nobody") == 0
    assert hand.call("forget", "nobody", first, first + 255) == 0


def test_an_id_that_was_taken_out_comes_back_with_its_record(queue: Callers, hand: Hand, db: Any) -> None:
    """When an operator sends a dead letter round again whose record had expired."""
    job_id = queue.send_one()
    hand.call("retry", hand.begin(), 0, 1, "busy", "Busy.")
    lose_records(db, job_id)
    assert hand.call("forget", "alice", *ALL) == 1

    hand.run(send_round_again(hand))

    assert hand.call("forget", "alice", *ALL) == 0
    assert listed(db) == [job_id]


async def send_round_again(hand: Hand) -> None:
    operations = Operations(hand.queue._redis, QUEUE.queue)
    async for letter in operations.letters():
        assert await operations.retry(letter) == "queued"
