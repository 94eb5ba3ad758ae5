"""What a worker may change, and when it may not any more."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from lambda_router_queue.queue_keys import GROUP
from lambda_router_worker.queue.work_queue import Lease
from tests.protocol.conftest import QUEUE, Callers, Hand

SHORT_MS = 60


def lapse() -> None:
    time.sleep(SHORT_MS / 1000 * 1.5)


def test_a_completed_job_has_its_result_and_leaves_no_entry(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()

    assert hand.call("complete", hand.begin(), '{"text":"HELLO"}') == "done"

    job = queue.look(job_id)
    assert (job.status, job.result, job.attempts, job.error) == ("completed", {"text": "HELLO"}, 1, None)
    assert sum(db.xlen(stream) for stream in QUEUE.streams) == 0
    assert db.zcard(QUEUE.open_jobs("alice")) == 0


def test_a_failed_job_tells_its_caller_why(queue: Callers, hand: Hand) -> None:
    job_id = queue.send_one()

    hand.call("fail", hand.begin(), json.dumps({"code": "too_long", "message": "The prompt is too long."}))

    job = queue.look(job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert (job.error.code, job.error.message) == ("too_long", "The prompt is too long.")


def test_completing_twice_is_completing_once(queue: Callers, hand: Hand) -> None:
    job_id = queue.send_one()
    lease = hand.begin()

    assert [hand.call("complete", lease, f'"{i}"') for i in (1, 2)] == ["done", "done"]

    assert queue.look(job_id).result == "1"


def test_a_worker_paused_beyond_its_lease_changes_nothing_and_learns_so(
    queue: Callers, hands: Callable[..., Hand]
) -> None:
    paused, other = hands("paused", lease_ms=SHORT_MS), hands("other", lease_ms=SHORT_MS)
    job_id = queue.send_one()
    old = paused.begin()
    lapse()
    (claim,) = other.call("reclaim", 10)
    new = other.start(claim)
    assert isinstance(new, Lease)

    assert paused.call("renew", old) == "lost"
    assert paused.call("complete", old, '"stale"') == "lost"
    assert paused.call("fail", old, "{}") == "lost"
    assert paused.call("retry", old, 0, 3, "x", "x") == "lost"
    assert other.call("complete", new, '"fresh"') == "done"

    assert (queue.look(job_id).result, queue.look(job_id).attempts) == ("fresh", 2)


def test_a_renewed_lease_is_not_reclaimed(queue: Callers, hands: Callable[..., Hand]) -> None:
    busy, other = hands("busy", lease_ms=400), hands("other", lease_ms=400)
    queue.send_one()
    lease = busy.begin()

    for _ in range(4):
        time.sleep(0.2)
        assert busy.call("renew", lease) == "run"
        assert other.call("reclaim", 10) == []


def test_a_job_at_work_is_not_started_a_second_time(queue: Callers, hands: Callable[..., Hand]) -> None:
    first, second = hands("first"), hands("second", lease_ms=0)
    queue.send_one()
    first.begin()

    (claim,) = second.call("reclaim", 10)

    assert second.start(claim) == "leased"


@pytest.mark.parametrize("look", ["start", "reject"])
def test_who_looks_too_early_at_a_dead_workers_job_does_not_make_it_wait_for_another_lease(
    queue: Callers, hands: Callable[..., Hand], look: str
) -> None:
    dead, early = hands("dead", lease_ms=1_500), hands("early", lease_ms=500)
    job_id = queue.send_one()
    dead.begin()
    lapses = time.monotonic() + 1.5
    time.sleep(0.52)
    (claim,) = early.call("reclaim", 1)
    if look == "start":
        assert early.start(claim) == "leased"
    else:
        assert early.call("reject", claim, "alice", "unreadable", "No worker could read it.") == "leased"
    assert early.call("reclaim", 1) == []  # nobody's time is spent on it before its lease is over

    time.sleep(lapses - time.monotonic() + 0.02)

    (claim,) = early.call("reclaim", 1)
    assert claim.job_id == job_id
    assert isinstance(early.start(claim), Lease)


@pytest.mark.parametrize(("dead_ms", "other_ms"), [(900, 870), (900, 200), (200, 900), (500, 500)])
def test_leases_need_not_be_equal_for_a_dead_workers_job_to_go_on_within_one_and_a_half_of_the_longer_one(
    queue: Callers, hands: Callable[..., Hand], dead_ms: int, other_ms: int
) -> None:
    """The other worker sweeps every third of its own lease, as the page asks it to."""
    dead, other = hands("dead", lease_ms=dead_ms), hands("other", lease_ms=other_ms)
    queue.send_one()
    dead.begin()
    died = time.monotonic()

    while not any(isinstance(other.start(claim), Lease) for claim in other.call("reclaim", 1)):
        time.sleep(other_ms / 3_000)

    assert time.monotonic() - died <= 1.5 * max(dead_ms, other_ms) / 1_000


def test_a_job_that_was_looked_at_too_early_still_counts_as_its_workers(
    queue: Callers, hands: Callable[..., Hand], db: Any
) -> None:
    busy, early = hands("busy", lease_ms=60_000), hands("early", lease_ms=0)
    queue.send_one()
    busy.begin()
    (claim,) = early.call("reclaim", 1)
    assert early.start(claim) == "leased"

    early.call("leave")

    assert list(db.xpending(claim.stream, GROUP)["consumers"]) == [{"name": "busy", "pending": 1}]


def test_a_start_sent_again_with_its_nonce_is_the_same_attempt(
    queue: Callers, hands: Callable[..., Hand], db: Any
) -> None:
    """The answer to the first sending was lost, for so long that the lease has lapsed."""
    hand, other = hands(lease_ms=SHORT_MS), hands("other")
    job_id = queue.send_one()
    claim = hand.claim_one()
    first = hand.start(claim, "n1")
    lapse()

    assert hand.start(claim, "n1") == first

    assert other.start(claim, "n2") == "leased"  # it holds anew
    assert isinstance(first, Lease)
    assert hand.call("complete", first, '"once"') == "done"
    job = queue.look(job_id)
    assert (job.result, job.attempts) == ("once", 1)
    assert not db.hexists(QUEUE.job(job_id), "deaths")


@pytest.mark.parametrize("nonce", ["", "n2"], ids=["no nonce", "another nonce"])
def test_a_start_sent_again_after_another_worker_took_over_is_refused(
    queue: Callers, hands: Callable[..., Hand], nonce: str
) -> None:
    slow, other = hands("slow", lease_ms=SHORT_MS), hands("other")
    queue.send_one()
    claim = slow.claim_one()
    first = slow.start(claim, "n1")
    lapse()
    second = other.start(claim, nonce)

    assert isinstance(first, Lease)
    assert isinstance(second, Lease)
    assert second.token > first.token
    assert slow.start(claim, "n1") == "leased"


def test_a_start_without_a_nonce_is_nobodys_repeat(queue: Callers, hand: Hand) -> None:
    queue.send_one()
    lease = hand.begin()

    assert hand.start(lease.claim) == "leased"


def test_tokens_only_grow(queue: Callers, hands: Callable[..., Hand]) -> None:
    hand = hands(lease_ms=SHORT_MS, max_deaths=10)
    queue.send_one()
    tokens = [hand.begin().token]
    for _ in range(3):
        lapse()
        lease = hand.start(hand.call("reclaim", 1)[0])
        assert isinstance(lease, Lease)
        tokens.append(lease.token)

    assert tokens == sorted(set(tokens))


def test_a_job_that_killed_its_worker_three_times_goes_to_the_dead_letters(
    queue: Callers, hands: Callable[..., Hand], db: Any
) -> None:
    hand = hands(lease_ms=SHORT_MS, max_deaths=3)
    job_id = queue.send_one()
    hand.begin()
    for _ in range(2):
        lapse()
        assert isinstance(hand.start(hand.call("reclaim", 1)[0]), Lease)
    lapse()

    assert hand.start(hand.call("reclaim", 1)[0]) == "dead"

    job = queue.look(job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error.code == "worker_died"
    ((_, letter),) = db.xrange(QUEUE.dead)
    assert (letter["id"], letter["code"], letter["attempts"]) == (job_id, "worker_died", "3")
    assert json.loads(letter["job"])["input"]["prompt"] == "hello"
    assert hand.call("reclaim", 1) == []


def test_a_claim_given_back_is_taken_by_the_next_sweep(queue: Callers, hands: Callable[..., Hand]) -> None:
    full, free = hands("full"), hands("free")
    job_id = queue.send_one()
    full.call("release", full.claim_one())

    (claim,) = free.call("reclaim", 1)

    assert claim.job_id == job_id
    assert isinstance(free.start(claim), Lease)


def test_a_job_cancelled_while_at_work_stays_cancelled(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()
    lease = hand.begin()

    assert queue.cancel(job_id).status == "cancelled"

    assert hand.call("renew", lease) == "cancelled"
    assert hand.call("complete", lease, '"late"') == "cancelled"
    assert hand.call("retry", lease, 0, 3, "x", "x") == "cancelled"
    job = queue.look(job_id)
    assert (job.status, job.result) == ("cancelled", None)
    assert sum(db.xlen(stream) for stream in QUEUE.streams) == 0


@pytest.mark.parametrize("claimed", [False, True], ids=["waiting", "claimed"])
def test_a_cancelled_job_is_never_started(queue: Callers, hand: Hand, claimed: bool) -> None:
    job_id = queue.send_one()
    claims = hand.claim() if claimed else []

    first, again = queue.cancel(job_id), queue.cancel(job_id)

    assert first == again
    assert [hand.start(claim) for claim in claims] == ["cancelled"] * claimed
    assert hand.claim() == []


def test_a_job_whose_record_is_gone_is_not_worked(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()
    db.delete(QUEUE.job(job_id))

    assert hand.start(hand.claim_one()) == "gone"

    assert sum(db.xlen(stream) for stream in QUEUE.streams) == 0


def test_an_entry_left_behind_by_an_earlier_round_is_stale(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()
    claim = hand.claim_one()
    db.hset(QUEUE.job(job_id), "stream_id", "9-9")

    assert hand.start(claim) == "stale"


def test_an_entry_that_cannot_be_read_goes_to_the_dead_letters(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = queue.send_one()
    claim = hand.claim_one()

    assert hand.call("reject", claim, "alice", "unreadable", "No worker could read it.") == "dead"

    assert queue.look(job_id).status == "failed"
    assert db.xlen(QUEUE.dead) == 1
    assert hand.call("reject", claim, "alice", "unreadable", "again") == "gone"


def test_names_of_silent_workers_that_hold_nothing_are_forgotten(
    queue: Callers, hands: Callable[..., Hand], db: Any
) -> None:
    idle, holder, living = hands("idle"), hands("holder"), hands("living")
    queue.send("a")
    idle.call("complete", idle.begin(), "1")
    queue.send("b")
    holder.begin()

    living.call("tidy", 0)

    assert {consumer["name"] for stream in QUEUE.streams for consumer in db.xinfo_consumers(stream, "workers")} == {
        "holder"
    }
