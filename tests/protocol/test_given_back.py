"""Jobs that a worker gives back are the next that any worker claims, whatever waits behind them."""

from collections.abc import Callable
from typing import Any

import pytest

from lambda_router_queue.queue_keys import GROUP, PRIORITIES
from lambda_router_worker.queue.work_queue import RELEASED, Begun, Lease
from tests.protocol.conftest import QUEUE, Callers, Hand

type GiveBack = Callable[[Hand], str]


def unstarted(hand: Hand) -> str:
    claim = hand.claim_one()
    hand.call("release", claim)
    return claim.job_id


def started(how: Begun) -> GiveBack:
    def give_back(hand: Hand) -> str:
        lease = hand.begin()
        assert hand.call("give_back", lease, how) == "given back"
        return lease.claim.job_id

    return give_back


WAYS: dict[str, GiveBack] = {
    "unstarted": unstarted,
    "untouched": started("untouched"),
    "begun": started("begun"),
    "crashed": started("crashed"),
}
ways = pytest.mark.parametrize("give_back", WAYS.values(), ids=WAYS.keys())


def has_mark(db: Any) -> bool:
    return bool(db.hexists(QUEUE.flow, "released"))


@ways
@pytest.mark.parametrize("backlog", [0, 3, 500])
def test_a_job_given_back_is_the_next_that_any_worker_claims(
    queue: Callers, hands: Callable[..., Hand], give_back: GiveBack, backlog: int
) -> None:
    giver, other = hands("giver"), hands("other")
    queue.send_one()
    job_id = give_back(giver)
    for priority in PRIORITIES:
        if backlog:
            queue.send("greedy", count=backlog, priority=priority)

    claim = other.claim_one()

    assert claim.job_id == job_id
    assert isinstance(other.start(claim), Lease)


def test_one_given_back_amid_a_busy_queue_is_overtaken_by_nobody(
    queue: Callers, hands: Callable[..., Hand], db: Any
) -> None:
    """A worker that was woken with more than it has room for; others have claimed, and jobs come in as they go."""
    woken, busy = hands("woken"), hands("busy")
    queue.send(count=3)
    claims = woken.call("wait", 100)
    assert len(claims) > 1
    queue.send("greedy", count=5)
    for claim in claims[1:]:
        woken.call("release", claim)

    claimed = []
    for _ in range(len(claims) + 5):
        queue.send("greedy")
        claimed += [claim.job_id for claim in busy.claim()]

    assert claimed[: len(claims) - 1] == [claim.job_id for claim in claims[1:]]


def test_all_that_were_given_back_come_before_anything_new_and_then_nobody_looks_for_more(
    queue: Callers, hands: Callable[..., Hand], db: Any
) -> None:
    giver, other = hands("giver"), hands("other")
    for priority in PRIORITIES:
        queue.send(count=20, priority=priority)
    claims = giver.claim(60)
    queue.send("greedy", count=20)
    for claim in claims:
        giver.call("release", claim)
    db.xdel(claims[0].stream, claims[0].entry_id)

    taken = [claim.job_id for _ in range(9) for claim in other.claim(7)]

    given_back = {claim.job_id for claim in claims[1:]}
    assert len(taken) == 63
    assert set(taken[:59]) == given_back
    assert not has_mark(db)


@ways
def test_a_job_that_was_cancelled_after_it_was_given_back_is_claimed_by_nobody(
    queue: Callers, hands: Callable[..., Hand], db: Any, give_back: GiveBack
) -> None:
    giver, other = hands("giver"), hands("other")
    job_id = queue.send_one()
    give_back(giver)
    queue.cancel(job_id)
    new = queue.send_one("bob")

    assert [claim.job_id for claim in other.claim(5)] == [new]
    assert not has_mark(db)


@ways
def test_a_job_given_back_keeps_its_place_in_line(
    queue: Callers, hands: Callable[..., Hand], give_back: GiveBack
) -> None:
    giver, other = hands("giver"), hands("other")
    first, second = queue.send_one("a"), queue.send_one("b")

    give_back(giver)

    assert [queue.look(first, "a").position, queue.look(second, "b").position] == [1, 2]
    other.begin()
    assert [queue.look(first, "a").position, queue.look(second, "b").position] == [None, 1]


def test_a_claim_that_somebody_has_taken_over_meanwhile_is_not_given_back(
    queue: Callers, hands: Callable[..., Hand], db: Any
) -> None:
    """Who gives it back was suspended for longer than a lease."""
    woken, other = hands("woken"), hands("other", lease_ms=0)
    queue.send_one()
    claim = woken.claim_one()
    (taken,) = other.call("reclaim", 1)
    lease = other.start(taken)

    woken.call("release", claim)

    assert [one["name"] for one in db.xpending(claim.stream, GROUP)["consumers"]] == ["other"]
    assert woken.claim() == []
    assert other.call("complete", lease, "1") == "done"


def test_giving_back_what_is_gone_leaves_nothing_behind(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()
    claim = hand.claim_one()
    queue.cancel(job_id)

    hand.call("release", claim)

    assert hand.claim() == []
    assert db.xpending(claim.stream, GROUP)["pending"] == 0


def test_what_a_worker_gave_back_by_commands_is_found_by_a_sweep(queue: Callers, hands: Callable[..., Hand]) -> None:
    """As workers of before this version do, without the mark."""
    giver, other = hands("giver"), hands("other")
    job_id = queue.send_one()
    claim = giver.claim_one()
    week_ms = 7 * 24 * 3_600_000
    giver.run(
        giver.queue._redis.execute(
            "XCLAIM", claim.stream, GROUP, RELEASED, 0, claim.entry_id, "IDLE", week_ms, "JUSTID"
        )
    )

    assert [claim.job_id for claim in other.call("reclaim", 1)] == [job_id]


@pytest.mark.parametrize("find", ["look", "claim"])
def test_a_job_given_back_long_after_its_deadline_is_seen_to_have_expired(
    queue: Callers, hands: Callable[..., Hand], db: Any, find: str
) -> None:
    """It was worked for an hour beyond its deadline, and nothing is kept for longer than a minute."""
    giver, other = hands("giver"), hands("other")
    job_id = queue.under(store_result_seconds=60, idempotency_seconds=60).send_one()
    lease = giver.begin()
    an_hour_ago = int(db.time()[0]) * 1_000 - 3_600_000
    db.hset(QUEUE.job(job_id), mapping=dict.fromkeys(("created_at", "deadline_at", "keep_until"), an_hour_ago))

    assert giver.call("give_back", lease, "untouched") == "given back"

    if find == "claim":
        assert other.start(other.claim_one()) == "expired"
    assert queue.look(job_id).status == "expired"
    assert queue.look(job_id).status == "expired"
    assert 0 < db.pttl(QUEUE.job(job_id)) <= 60_000
    assert other.claim() == []
