"""Bytes stored: what jobs take in Redis is counted, bounded, and given back however a job ends."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.api.body import parse_job
from chalicelib.jobs.admission import NewJob
from chalicelib.jobs.job_types import JOB_TYPES
from lambda_router_queue.redis.wire import Refused
from tests.job_ids import any_job_id
from tests.protocol.conftest import QUEUE, Callers, Hand, Operator

#: The largest that the API takes: 16 pairs, each character four bytes.
LARGEST_METADATA = {f"{place:02}" + "\U0001f600" * 62: "\U0001f600" * 512 for place in range(16)}


def send_large(callers: Callers, owner: str = "alice") -> tuple[str, str]:
    """Verdict and id of one job with the largest metadata, whatever the body's limit."""
    parsed = parse_job(b'{"type": "generate", "input": {"prompt": "p"}}', "application/json", JOB_TYPES)
    request = parsed.request.model_copy(update={"metadata": LARGEST_METADATA})
    (decision,) = callers.submit([NewJob(any_job_id(), request, parsed.job_type)], owner).decisions
    return decision.verdict, decision.job_id


def stored(db: Any, owner: str = "alice") -> int:
    return int(db.hget(QUEUE.stored_bytes(owner), "bytes") or 0)


def counted(db: Any, job_id: str) -> int:
    return int((db.hget(QUEUE.job(job_id), "counted") or "0").split()[0])


def assert_books_are_right(db: Any, *job_ids: str) -> None:
    """Alice's and the queue's, where all jobs are hers."""
    total = sum(counted(db, job_id) for job_id in job_ids)
    for book in (db.hgetall(QUEUE.stored_bytes("alice")), db.hgetall(QUEUE.flow)):
        assert int(book["bytes"]) == total
        assert sum(int(size) for name, size in book.items() if name.startswith("bytes:")) == total


def test_whoever_submits_and_cancels_stores_no_more_than_the_cap(queue: Callers, db: Any) -> None:
    """38.5 KiB for each cancelled job were counted nowhere, and stayed for a day: 1.1 GB a day by the default rate."""
    cap = 4 * 1024 * 1024
    capped, before = queue.under(caller_bytes_cap=cap), used_memory(db)
    seen = Counter[str]()
    for _ in range(200):
        verdict, job_id = send_large(capped)
        seen[verdict] += 1
        if verdict == "accepted":
            capped.cancel(job_id)

    assert seen["accepted"] < 120
    assert set(seen) == {"accepted", "caller_bytes"}
    assert stored(db) <= cap
    assert used_memory(db) - before < 2 * cap
    assert send_large(capped, "bob")[0] == "accepted"


def used_memory(db: Any) -> int:
    info = db.info("memory")
    return sum(each["used_memory"] for each in info.values()) if "used_memory" not in info else info["used_memory"]


def test_callers_together_store_no_more_than_the_queues_cap(queue: Callers, db: Any) -> None:
    cap = 4 * 1024 * 1024
    capped = queue.under(queue_bytes_cap=cap, newcomers_percent=10)
    verdicts = Counter(send_large(capped, f"caller-{place}")[0] for place in range(200))

    assert set(verdicts) == {"accepted", "queue_bytes"}
    assert int(db.hget(QUEUE.flow, "bytes")) <= cap * 9 // 10
    (small,) = capped.send("newcomer").decisions
    assert small.verdict == "accepted"


@pytest.mark.parametrize("end", ["complete", "fail", "cancel", "dead", "expire"])
def test_a_final_job_counts_with_what_its_caller_can_read(
    queue: Callers, hands: Callable[..., Hand], db: Any, end: str
) -> None:
    hand = hands()
    job_id = queue.send_one(metadata={"name": "x" * 500}, input={"prompt": "p" * 5_000})
    open_bytes = counted(db, job_id)
    assert open_bytes > 6_500
    outcome = ""
    if end == "cancel":
        queue.cancel(job_id)
    elif end == "expire":
        db.hset(QUEUE.job(job_id), "deadline_at", 1)
        queue.look(job_id)
    elif end == "complete":
        outcome = json.dumps({"text": "y" * 1_000})
        assert hand.call("complete", hand.begin(), outcome) == "done"
    elif end == "fail":
        outcome = json.dumps({"code": "no", "message": "z" * 1_000})
        assert hand.call("fail", hand.begin(), outcome) == "done"
    else:
        assert hand.call("retry", hand.begin(), 0, 1, "no", "No.") == "dead"
        outcome = str(db.hget(QUEUE.job(job_id), "error"))

    assert 1_500 < counted(db, job_id) - len(outcome) < 2_000
    assert_books_are_right(db, job_id)


def test_a_retry_counts_its_second_envelope_and_a_redrive_all_anew(
    queue: Callers, hands: Callable[..., Hand], db: Any
) -> None:
    hand = hands()
    job_id = queue.send_one(input={"prompt": "p" * 5_000})
    before = counted(db, job_id)

    assert hand.call("retry", hand.begin(), 0, 2, "busy", "Busy.") == "scheduled"
    assert counted(db, job_id) > before + 5_000
    assert_books_are_right(db, job_id)

    hand.call("promote")
    assert hand.call("retry", hand.begin(), 0, 2, "busy", "Busy.") == "dead"
    assert_books_are_right(db, job_id)
    assert Operator(hand, job_id).retry() == "queued"
    assert counted(db, job_id) > 5_000
    assert_books_are_right(db, job_id)


def test_a_result_that_is_not_kept_counts_until_it_is_read(queue: Callers, hands: Callable[..., Hand], db: Any) -> None:
    hand = hands()
    job_id = queue.send_one(store=False)
    hand.call("complete", hand.begin(), json.dumps({"text": "y" * 5_000}))
    assert counted(db, job_id) > 5_000

    assert queue.side.take("alice", job_id)

    assert counted(db, job_id) < 2_000
    assert_books_are_right(db, job_id)


def test_a_job_of_an_older_release_counts_from_its_end_on(queue: Callers, hands: Callable[..., Hand], db: Any) -> None:
    hand = hands()
    job_id = queue.send_one()
    db.hdel(QUEUE.job(job_id), "counted")
    db.delete(QUEUE.stored_bytes("alice"))
    db.hdel(QUEUE.flow, *(name for name in db.hgetall(QUEUE.flow) if name.startswith("bytes")))

    hand.call("complete", hand.begin(), '"text"')

    assert 1_000 < counted(db, job_id) < 1_100
    assert_books_are_right(db, job_id)
    assert db.pttl(QUEUE.stored_bytes("alice")) >= db.pttl(QUEUE.job(job_id)) - 1_000


def test_books_that_are_wrong_are_right_again_after_their_time(queue: Callers, db: Any) -> None:
    job_id = queue.send_one()
    for book in (QUEUE.stored_bytes("alice"), QUEUE.flow):
        db.hset(book, mapping={"bytes": 10**9, "bytes:5": 10**8, "bytes:odd": "x", "bytes_swept": 7})

    other = queue.send_one()

    assert_books_are_right_but_for_odd_ones(db, job_id, other)


def assert_books_are_right_but_for_odd_ones(db: Any, *job_ids: str) -> None:
    for book in (QUEUE.stored_bytes("alice"), QUEUE.flow):
        db.hdel(book, "bytes:odd")
    assert_books_are_right(db, *job_ids)


def test_bytes_that_stay_are_said_to_admission(queue: Callers, db: Any) -> None:
    """What a caller can read of its input later counts on when the job is final."""
    parsed = parse_job(b'{"type": "generate", "input": {"prompt": "p"}}', "application/json", JOB_TYPES)
    job = NewJob(any_job_id(), parsed.request, parsed.job_type, openai="x" * 3_000)
    queue.submit([job])

    queue.cancel(job.job_id)

    assert 4_000 < counted(db, job.job_id) < 4_100


def test_the_oldest_letters_beyond_the_bound_are_discarded(queue: Callers, hands: Callable[..., Hand], db: Any) -> None:
    hand, ids = hands(), [queue.send_one() for _ in range(5)]
    for _ in ids:
        assert hand.call("retry", hand.begin(), 0, 1, "no", "No.") == "dead"

    assert hand.call("trim_letters", 2) == 3

    letters = [fields["id"] for _, fields in db.xrange(QUEUE.dead)]
    assert len(letters) == 2


def test_a_worker_that_sends_too_few_keys_hears_of_it_before_anything_is_written(
    queue: Callers, hand: Hand, db: Any
) -> None:
    queue.send_one()
    lease = hand.begin()
    before = db.hgetall(lease.keys[0])

    with pytest.raises(Refused, match="nine keys"):
        hand.call("complete", lease._replace(keys=lease.keys[:8]), '"result"')

    assert db.hgetall(lease.keys[0]) == before
