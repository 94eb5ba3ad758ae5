"""What is sent: jobs of which the HTTP side has already made sure, and the key of a request."""

from typing import Any

from chalicelib.jobs.admission import Caller, Decision, NewJob, QueuePolicy, Submission
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.job_types import JOB_TYPES
from chalicelib.limits import RatePolicy
from tests.integration.in_redis import KEYS
from tests.job_ids import any_job_id

WIDE = QueuePolicy(
    RatePolicy(60_000, 1_000),
    queue_cap=1_000,
    open_jobs_cap=1_000,
    newcomers_percent=0,
    delayed_percent=100,
    caller_bytes_cap=2**40,
    queue_bytes_cap=2**40,
    store_result_seconds=600,
    idempotency_seconds=600,
    events_seconds=600,
)


def new_job(key: str | None = None, **changes: Any) -> NewJob:
    """A job; members of its request may be what no caller may send, such as a shorter ``ttl_seconds``."""
    job_type = JOB_TYPES["generate"]
    request = job_type.request_model.model_validate({"type": "generate", "input": {"prompt": "hello"}})
    return NewJob(any_job_id(), request.model_copy(update=changes), job_type, key)


def submission(*jobs: NewJob, owner: str = "owner-1") -> Submission:
    """Those jobs in one step."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    return Submission(jobs, KEYS, Caller(owner, "request-1", trace))


def submit_one(queue: JobQueue, owner: str, **changes: Any) -> Decision:
    """What becomes of one job that skips the HTTP side."""
    [decision] = queue.submit(submission(new_job(**changes), owner=owner)).decisions
    return decision


def with_key(key: str) -> dict[str, str | list[str]]:
    """Headers of a request that is to be done once."""
    return {"Idempotency-Key": key}
