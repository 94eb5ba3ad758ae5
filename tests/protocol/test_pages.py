"""Pages over several queues, which in a cluster are on several nodes."""

from functools import partial
from typing import Any

from chalicelib.jobs.admission import Caller, Submission
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.redis_client import RedisClient, connect
from tests.integration.submissions import new_job
from tests.wide import WIDE

QUEUES = [f"queue{each}" for each in range(6)]


def test_pages_lead_through_the_jobs_of_all_queues(db: Any, engine_url: str) -> None:
    side = JobQueue(RedisClient(partial(connect, engine_url)), WIDE, QUEUES)
    sent = [new_job() for _ in range(24)]
    for place, job in enumerate(sent):
        side.submit(Submission([job], side.keys(QUEUES[place % len(QUEUES)]), Caller("alice", "request-1", "")))
    cancelled = {job.job_id for job in sent[::5] if side.cancel("alice", job.job_id)}

    for status, wanted in (None, {job.job_id for job in sent}), ("cancelled", cancelled):
        found: list[str] = []
        after = None
        while not found or after is not None:
            page = side.page("alice", 4, status, after)
            found += [job.id for job in page.jobs]
            after = page.after
        assert sorted(found) == sorted(wanted)


def test_a_page_sends_its_script_to_a_server_that_does_not_have_it(db: Any, engine_url: str) -> None:
    side = JobQueue(RedisClient(partial(connect, engine_url)), WIDE, QUEUES)
    for name in QUEUES:
        side.submit(Submission([new_job()], side.keys(name), Caller("alice", "request-1", "")))
    db.script_flush()

    assert len(side.page("alice", 10, None, None).jobs) == len(QUEUES)
