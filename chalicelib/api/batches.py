"""Many jobs in one request: each gets its own verdict, and each queue is called once."""

from collections.abc import Mapping, Sequence

from chalicelib.api import verdicts
from chalicelib.api.body import ParsedJob
from chalicelib.api.verdicts import Outcome
from chalicelib.callers.auth import Principal
from chalicelib.errors import EncryptionUnavailable, InsufficientScope, InvalidJob, Problem, QueueFull, QueueUnavailable
from chalicelib.jobs.admission import Caller, NewJob, Submission
from chalicelib.jobs.job_queue import new_job_id
from chalicelib.wiring import Services
from lambda_router_queue import metrics
from lambda_router_queue.metrics import Metric
from lambda_router_queue.models import BatchItem, BatchVerdicts
from lambda_router_queue.queue_keys import QueueKeys

#: Separates the batch's Idempotency-Key from a job's index; no caller can send this character.
KEY_SEPARATOR = "\x1f"


def submit(
    parts: Services,
    principal: Principal,
    caller: Caller,
    jobs: Sequence[ParsedJob | InvalidJob],
    idempotency_key: str | None,
) -> BatchVerdicts:
    """Queue every job that can be queued. A retry with the same key returns each job's first verdict."""
    outcomes: dict[int, Outcome] = {}
    by_queue: dict[QueueKeys, dict[int, NewJob]] = {}
    for place, job in enumerate(jobs):
        if isinstance(job, InvalidJob):
            outcomes[place] = job
        elif not principal.has(job.job_type.scope):
            outcomes[place] = InsufficientScope(job.job_type.scope or "")
        else:
            key = None if idempotency_key is None else f"{idempotency_key}{KEY_SEPARATOR}{place}"
            queue = parts.queue_of(job.job_type, job.request)
            by_queue.setdefault(queue, {})[place] = NewJob(new_job_id(queue), job.request, job.job_type, key)
    for queue, new_jobs in by_queue.items():
        outcomes |= _submit_to(parts, queue, caller, new_jobs)
    return BatchVerdicts(data=[_item(outcomes[place], caller) for place in range(len(jobs))])


def _submit_to(parts: Services, queue: QueueKeys, caller: Caller, jobs: Mapping[int, NewJob]) -> dict[int, Outcome]:
    """Submit one queue's jobs. If that fails, each of them gets the problem; other queues are unaffected."""
    submission = Submission(list(jobs.values()), queue, caller)
    try:
        found = verdicts.submit(parts, submission)
    except (QueueFull, QueueUnavailable, EncryptionUnavailable) as problem:
        return dict.fromkeys(jobs, problem)
    return dict(zip(jobs, found, strict=True))


def _item(outcome: Outcome, caller: Caller) -> BatchItem:
    if isinstance(outcome, Problem):
        metrics.add(Metric.REQUESTS_REFUSED, 1, outcome.slug())
        wait = outcome.headers.get("Retry-After")
        problem = outcome.to_dict(caller.request_id)
        return BatchItem(status=outcome.status, problem=problem, retry_after=int(wait) if wait else None)
    return BatchItem(status=202, job=outcome.job)
