"""How long a caller's two lists live: as long as every record that they name, and not without end."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.queue.work_queue import Lease
from tests.protocol.conftest import QUEUE, Callers, Hand

LISTS = [QUEUE.owner("alice"), QUEUE.open_jobs("alice")]
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
TEN_DAYS = 10 * 86_400
LONG_LEASE_MS = 600_000

type Step = Callable[[Callers, Hand, str], object]


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


def at_its_end(db: Any, name: str) -> None:
    """All but a second of what admission gave the list has passed."""
    db.pexpire(name, 1_000)


def long_at_work(hand: Hand, job_id: str) -> None:
    """What admission gave the job and its list has passed, but for a second of the list."""
    record, redis = QUEUE.job(job_id), hand.queue._redis
    over = int(hand.run(redis.execute("HGET", record, "created_at"))) - 1  # all of this may happen in one millisecond
    hand.run(redis.execute("HSET", record, "deadline_at", over, "keep_until", over))
    hand.run(redis.execute("PEXPIRE", QUEUE.owner("alice"), 1_000))


def begin(queue: Callers, hand: Hand, job_id: str) -> Lease:
    hand.run(hand.queue._redis.execute("PEXPIRE", QUEUE.owner("alice"), 1_000))
    return hand.begin()


def held(step: Callable[[Callers, Hand, Lease], object]) -> Step:
    """A step with a job that has long been at work."""

    def do(queue: Callers, hand: Hand, job_id: str) -> None:
        lease = hand.begin()
        long_at_work(hand, job_id)
        step(queue, hand, lease)

    return do


async def redrive(hand: Hand) -> None:
    operations = Operations(hand.queue._redis, QUEUE.queue)
    async for letter in operations.letters():
        assert await operations.retry(letter) == "queued"


def bury_and_redrive(queue: Callers, hand: Hand, job_id: str) -> None:
    assert hand.call("retry", hand.begin(), 0, 1, "busy", "Busy.") == "dead"
    long_at_work(hand, job_id)
    hand.run(redrive(hand))


STEPS: dict[str, Step] = {
    "started": begin,
    "renewed": held(lambda queue, hand, lease: hand.call("renew", lease)),
    "to be tried again": held(lambda queue, hand, lease: hand.call("retry", lease, 5_000, 3, "busy", "Busy.")),
    "given back untouched": held(lambda queue, hand, lease: hand.call("give_back", lease, "untouched")),
    "given back begun": held(lambda queue, hand, lease: hand.call("give_back", lease, "begun")),
    "completed": held(lambda queue, hand, lease: hand.call("complete", lease, "1")),
    "failed": held(lambda queue, hand, lease: hand.call("fail", lease, "{}")),
    "dead": held(lambda queue, hand, lease: hand.call("retry", lease, 0, 1, "busy", "Busy.")),
    "cancelled": lambda queue, hand, job_id: queue.cancel(job_id),
    "cancelled at work": held(lambda queue, hand, lease: queue.cancel(lease.claim.job_id)),
    "rejected": lambda queue, hand, job_id: hand.call("reject", hand.claim_one(), "alice", "unreadable", "No."),
    "sent round again": bury_and_redrive,
}
steps = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())


@steps
def test_a_job_is_listed_for_as_long_as_its_record_lives_whatever_prolongs_it(
    queue: Callers, hands: Callable[..., Hand], db: Any, step: Step
) -> None:
    hand = hands(lease_ms=LONG_LEASE_MS)
    job_id = send_briefly(queue, ttl_seconds=60)

    step(queue, hand, job_id)

    assert db.pttl(QUEUE.owner("alice")) >= db.pttl(QUEUE.job(job_id)) > 10_000


@steps
def test_an_open_job_counts_as_one_for_as_long_as_its_record_lives(
    queue: Callers, hands: Callable[..., Hand], db: Any, step: Step
) -> None:
    hand = hands(lease_ms=LONG_LEASE_MS)
    job_id = send_briefly(queue, ttl_seconds=60)

    step(queue, hand, job_id)

    record, name = db.hgetall(QUEUE.job(job_id)), QUEUE.open_jobs("alice")
    if record["status"] not in {"queued", "in_progress"}:
        assert not db.exists(name)
    elif "started_at" in record:
        assert db.zscore(name, job_id) == db.pexpiretime(QUEUE.job(job_id)) <= db.pexpiretime(name)
    else:
        assert db.zscore(name, job_id) == int(record["deadline_at"]) <= db.pexpiretime(name)


def test_jobs_stay_listed_beyond_the_life_that_admission_gave_their_list(queue: Callers, hand: Hand, db: Any) -> None:
    dead, late, retried, running = (send_briefly(queue, ttl_seconds=60) for _ in range(4))
    leases = {lease.claim.job_id: lease for lease in (hand.begin() for _ in range(4))}
    hand.call("retry", leases[dead], 0, 1, "busy", "Busy.")
    for job_id in leases:
        long_at_work(hand, job_id)
    hand.run(redrive(hand))
    hand.call("retry", leases[retried], 30_000, 3, "busy", "Busy.")
    hand.call("complete", leases[late], "1")
    hand.call("renew", leases[running])

    time.sleep(1.1)

    listed = {job.id: job.status for job in queue.side.page("alice", 10, None, None)[0]}
    assert listed == {dead: "queued", retried: "queued", late: "completed", running: "in_progress"}


@pytest.mark.parametrize(
    "step",
    [
        held(lambda queue, hand, lease: hand.call("renew", lease)),
        held(lambda queue, hand, lease: hand.call("retry", lease, 5_000, 3, "busy", "Busy.")),
        held(lambda queue, hand, lease: hand.call("complete", lease, "1")),
    ],
    ids=["at work", "to be tried again", "finished"],
)
def test_a_job_older_than_any_that_admission_foresees_is_not_thrown_out_of_its_list(
    queue: Callers, hand: Hand, db: Any, step: Step
) -> None:
    old = send_briefly(queue, ttl_seconds=60)
    ago = int(db.hget(QUEUE.job(old), "created_at")) - 4 * DAY_MS
    db.hset(QUEUE.job(old), mapping={"created_at": ago, "deadline_at": ago + 60_000, "started_at": ago})
    db.zadd(QUEUE.owner("alice"), {old: ago})
    step(queue, hand, old)
    at_its_end(db, QUEUE.owner("alice"))

    new = send_briefly(queue, ttl_seconds=60)

    assert db.zrange(QUEUE.owner("alice"), 0, -1) == [old, new]


def test_what_was_stored_for_longer_under_an_earlier_setting_is_not_thrown_out_of_its_list(
    queue: Callers, db: Any
) -> None:
    old = queue.under(store_result_seconds=TEN_DAYS).send_one()
    db.zadd(QUEUE.owner("alice"), {old: int(db.hget(QUEUE.job(old), "created_at")) - 8 * DAY_MS})
    at_its_end(db, QUEUE.owner("alice"))

    new = send_briefly(queue, ttl_seconds=60)

    assert db.zrange(QUEUE.owner("alice"), 0, -1) == [old, new]


def test_what_is_older_than_any_record_was_is_thrown_out_of_the_list(queue: Callers, db: Any) -> None:
    db.zadd(QUEUE.owner("alice"), {"job_old": int(db.time()[0]) * 1_000 - 5 * DAY_MS})

    new = send_briefly(queue, ttl_seconds=60)

    assert db.zrange(QUEUE.owner("alice"), 0, -1) == [new]
