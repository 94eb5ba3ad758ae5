"""A submission that is sent twice, because its answer was lost or two came at once, is stored once."""

import threading
from contextlib import closing
from copy import replace
from functools import partial
from typing import Any

import pytest
import redis

from chalicelib.jobs.admission import Decision
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.redis_client import RedisClient, connect
from chalicelib.limits import RatePolicy
from chalicelib.wiring import Services
from tests.conftest import Router
from tests.integration.backend.hostile_servers import losing_replies
from tests.integration.conftest import BuildRouter
from tests.integration.in_redis import KEYS, QUEUE, entries, everything, stored_jobs
from tests.integration.submissions import WIDE, new_job, submission, with_key
from tests.integration.worker.worker_hand import finish_job


@pytest.fixture
def queue(services: Services) -> JobQueue:
    return services.queue


@pytest.mark.parametrize("key", [None, "k"], ids=["without key", "with key"])
def test_a_submission_sent_twice_is_stored_once_and_answered_alike(queue: JobQueue, db: redis.Redis, key: str | None):
    sent = submission(new_job(key))
    [first] = queue.submit(sent).decisions
    before = everything(db)
    [second] = queue.submit(sent).decisions
    assert (first.verdict, second.verdict) == ("accepted", "accepted")
    assert (second.created_at, second.job_id) == (first.created_at, first.job_id)
    assert (second.stream, second.seq) == (first.stream, first.seq)
    assert everything(db) == before
    assert [envelope["id"] for _, envelope in entries(db)] == [sent.jobs[0].job_id]


def test_a_submission_of_many_sent_twice_is_stored_once_and_answered_alike(queue: JobQueue, db: redis.Redis):
    sent = submission(*(new_job(key, delay_seconds=delay) for key in (None, "k") for delay in (0, 60)))
    first = queue.submit(sent)
    before = everything(db)
    second = queue.submit(sent)
    assert [decision.verdict for decision in first.decisions] == ["accepted", "accepted", "accepted", "reused"]
    assert second.decisions[:3] == first.decisions[:3]
    assert everything(db) == before
    assert (stored_jobs(db), db.zcard(KEYS.scheduled)) == (2, 1)


def test_a_submission_sent_twice_counts_once_against_the_rate(environ: dict[str, str], db: redis.Redis):
    policy = replace(WIDE, rate=RatePolicy(1, 2))
    queue = JobQueue(RedisClient(partial(connect, environ["REDIS_URL"])), policy, [QUEUE])
    sent = submission(new_job())
    assert [queue.submit(sent).rate.remaining for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize(
    "limit",
    [{"rate": RatePolicy(1, 1)}, {"open_jobs_cap": 1}, {"queue_cap": 1}],
    ids=["rate", "open jobs", "queue"],
)
def test_a_submission_sent_twice_is_accepted_though_it_reached_the_limit(
    environ: dict[str, str], db: redis.Redis, limit: dict[str, Any]
):
    queue = JobQueue(RedisClient(partial(connect, environ["REDIS_URL"])), replace(WIDE, **limit), [QUEUE])
    sent = submission(new_job())
    assert [queue.submit(sent).decisions[0].verdict for _ in range(2)] == ["accepted", "accepted"]
    assert stored_jobs(db) == 1


def test_a_submission_sent_twice_is_stored_once_even_when_it_was_finished_between(
    queue: JobQueue, redis_url: str, db: redis.Redis
):
    sent = submission(new_job())
    queue.submit(sent)
    finish_job(redis_url, result="done")
    assert [decision.verdict for decision in queue.submit(sent).decisions] == ["accepted"]
    assert stored_jobs(db) == 0
    job = queue.look("owner-1", sent.jobs[0].job_id)
    assert job is not None
    assert job.status == "completed"


@pytest.mark.parametrize("keys", [False, True], ids=["without keys", "with keys"])
def test_when_replies_are_lost_every_202_is_one_entry(
    build_router: BuildRouter, redis_url: str, generate: dict[str, Any], db: redis.Redis, keys: bool
):
    with losing_replies(redis_url, every=3) as lossy_url:
        router = build_router(REDIS_URL=lossy_url)
        replies = [router.post("/v1/jobs", generate, headers=with_key(f"k-{n}") if keys else {}) for n in range(30)]
    assert {reply.status for reply in replies} == {202}
    assert [envelope["id"] for _, envelope in entries(db)] == [reply.json["id"] for reply in replies]


def test_when_every_reply_is_lost_the_answer_is_503_and_a_repeat_finds_the_job(
    build_router: BuildRouter, router: Router, redis_url: str, generate: dict[str, Any], db: redis.Redis
):
    with losing_replies(redis_url, every=1) as deaf_url:
        lost = build_router(REDIS_URL=deaf_url).post("/v1/jobs", generate, headers=with_key("k"))
    assert lost.status == 503
    assert lost.headers["retry-after"] == "2"
    repeat = build_router().post("/v1/jobs", generate, headers=with_key("k"))
    assert repeat.status == 202
    assert repeat.headers["idempotency-replayed"] == "true"
    assert [envelope["id"] for _, envelope in entries(db)] == [repeat.json["id"]]


def test_fifty_requests_with_one_key_at_once_make_one_job(redis_url: str, db: redis.Redis):
    threads = 50
    together = threading.Barrier(threads)
    decisions: list[Decision] = []

    def submit() -> None:
        with closing(connect(redis_url)) as connection:
            queue = JobQueue(RedisClient(lambda: connection), WIDE, [QUEUE])
            queue.ping()
            together.wait(timeout=20)
            decisions.extend(queue.submit(submission(new_job("k"))).decisions)

    running = [threading.Thread(target=submit) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    [(_, envelope)] = entries(db)
    verdicts = sorted(decision.verdict for decision in decisions)
    assert verdicts == ["accepted"] + ["replayed"] * (threads - 1)
    assert {decision.job_id for decision in decisions} == {envelope["id"]}
