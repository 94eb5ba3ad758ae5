"""Jobs sent with ``"store": false``: the result is there for one reader, and nothing of them stays behind."""

import json
from typing import Any

import pytest

from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.redis_client import RedisClient
from lambda_router_queue.models import Job
from tests.protocol.conftest import QUEUE, Callers, Hand

RESULT = '{"text":"for-one-reader-only"}'


def completed(queue: Callers, hand: Hand, **body: Any) -> str:
    job_id = queue.send_one(**({"store": False} | body))
    assert hand.call("complete", hand.begin(), RESULT) == "done"
    return job_id


def take(queue: Callers, job_id: str, owner: str = "alice") -> Job | None:
    return queue.side.take(owner, job_id)


def places_of(db: Any, text: str) -> list[str]:
    """Keys that hold the text."""
    return [key for key in db.scan_iter() if text in repr(_content(db, key))]


def _content(db: Any, key: str) -> Any:
    read = {
        "hash": db.hgetall,
        "string": db.get,
        "stream": db.xrange,
        "zset": lambda name: db.zrange(name, 0, -1),
        "none": lambda _: None,  # gone since it was listed: what counts a caller's rate lasts a millisecond here
    }
    return read[db.type(key)](key)


def test_the_first_reader_gets_the_result_and_later_ones_the_job_without_it(queue: Callers, hand: Hand) -> None:
    job_id = completed(queue, hand)

    reads = [take(queue, job_id) for _ in range(3)]

    assert [(job.status, job.store, job.result) for job in reads if job] == [
        ("completed", False, {"text": "for-one-reader-only"}),
        ("completed", False, None),
        ("completed", False, None),
    ]


def test_reading_deletes_the_result_from_the_record_and_keeps_it_two_seconds_for_the_same_reader(
    queue: Callers, hand: Hand, db: Any
) -> None:
    job_id = completed(queue, hand)
    assert places_of(db, "for-one-reader-only") == [QUEUE.job(job_id)]

    take(queue, job_id)

    assert places_of(db, "for-one-reader-only") == [QUEUE.handover(job_id)]
    assert 0 < db.pttl(QUEUE.handover(job_id)) <= 2_000


def test_an_answer_that_was_lost_costs_no_result(queue: Callers, hand: Hand) -> None:
    job_id = completed(queue, hand)

    class LosesOneAnswer(RedisClient):
        def run(self, *question: Any) -> Any:
            super().run(*question)
            return super().run(*question)

    side = JobQueue(LosesOneAnswer(queue.side._redis._connect_to), queue.side._policy, [QUEUE.queue])
    job = side.take("alice", job_id)

    assert job is not None
    assert job.result == {"text": "for-one-reader-only"}
    again = take(queue, job_id)
    assert again is not None
    assert again.result is None


def test_nobody_else_takes_it(queue: Callers, hand: Hand) -> None:
    job_id = completed(queue, hand)

    assert take(queue, job_id, "mallory") is None

    job = take(queue, job_id)
    assert job is not None
    assert job.result == {"text": "for-one-reader-only"}


def test_looking_listing_cancelling_and_repeating_neither_show_nor_take_it(queue: Callers, hand: Hand) -> None:
    job_id = completed(queue, hand)

    seen = [queue.look(job_id), queue.cancel(job_id), *queue.side.page("alice", 5, None, None)[0]]
    seen += [job for job in queue.side.look_all(QUEUE, "alice", [job_id]) if job]

    assert [(job.status, job.result) for job in seen] == [("completed", None)] * 4
    job = take(queue, job_id)
    assert job is not None
    assert job.result == {"text": "for-one-reader-only"}


def test_a_job_that_is_kept_can_be_read_as_often_as_one_likes(queue: Callers, hand: Hand, db: Any) -> None:
    job_id = completed(queue, hand, store=True)

    assert [job.result for job in (take(queue, job_id), take(queue, job_id)) if job] == [
        {"text": "for-one-reader-only"}
    ] * 2
    assert db.exists(QUEUE.handover(job_id)) == 0


def test_an_unread_result_is_gone_when_results_are_even_if_keys_are_remembered_longer(
    queue: Callers, hand: Hand, db: Any
) -> None:
    brief = queue.under(store_result_seconds=60, idempotency_seconds=86_400)
    (kept,) = brief.send(key="kept").decisions
    hand.call("complete", hand.begin(), RESULT)
    (not_kept,) = brief.send(key="not-kept", store=False).decisions
    hand.call("complete", hand.begin(), RESULT)

    assert db.pttl(QUEUE.job(not_kept.job_id)) <= 60_000 < db.pttl(QUEUE.job(kept.job_id))
    assert db.pttl(QUEUE.idempotency("alice", "not-kept")) <= 60_000
    assert brief.send(key="not-kept", store=False).decisions[0].verdict == "replayed"


def test_the_dead_letter_of_such_a_job_holds_nothing_that_its_caller_wrote(queue: Callers, hand: Hand, db: Any) -> None:
    prompts = {"kept": {"prompt": "words-that-are-kept"}, "not kept": {"prompt": "words-that-are-not-kept"}}
    for store, name in ((True, "kept"), (False, "not kept")):
        queue.send_one(store=store, input=prompts[name])
        assert hand.call("retry", hand.begin(), 0, 1, "busy", "Busy.") == "dead"

    assert places_of(db, "words-that-are-kept") == [QUEUE.dead]
    assert places_of(db, "words-that-are-not-kept") == []
    assert [fields["job"] == "" for _, fields in db.xrange(QUEUE.dead)] == [False, True]


@pytest.mark.parametrize("record_is_there", [True, False], ids=["record", "no record"])
def test_a_worker_that_cannot_read_such_a_job_leaves_nothing_of_it_though_its_record_is_gone(
    queue: Callers, hand: Hand, db: Any, record_is_there: bool
) -> None:
    for store, prompt in ((True, "words-that-are-kept"), (False, "words-that-are-not-kept")):
        job_id = queue.send_one(store=store, input={"prompt": prompt})
        if not record_is_there:
            db.delete(QUEUE.job(job_id))
        hand.call("reject", hand.claim_one(), "alice", "unreadable", "No.")

    assert places_of(db, "words-that-are-kept") == [QUEUE.dead]
    assert places_of(db, "words-that-are-not-kept") == []
    assert [fields["job"] == "" for _, fields in db.xrange(QUEUE.dead)] == [False, True]


def test_the_envelope_says_that_its_job_is_not_to_be_kept_and_only_then(queue: Callers, hand: Hand) -> None:
    for store in (True, False):
        queue.send_one(store=store)

    kept, not_kept = (hand.claim_one() for _ in range(2))

    assert (hand.job(kept).store, "store" in json.loads(kept.envelope)) == (True, False)
    assert (hand.job(not_kept).store, json.loads(not_kept.envelope)["store"]) == (False, False)


def test_what_a_stranger_put_into_a_stream_is_kept_whatever_it_is(queue: Callers, hand: Hand, db: Any) -> None:
    for text in ("no JSON at all", "[" * 2_000, "0", '{"store": "false"}'):
        db.xadd(QUEUE.streams[0], {"id": "job_x", "job": text})
        hand.call("reject", hand.claim_one(), "unknown", "unreadable", "No.")

        assert [fields["job"] for _, fields in db.xrevrange(QUEUE.dead, count=1)] == [text]
