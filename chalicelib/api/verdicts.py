"""Admission's decisions as HTTP: a stored job with its headers, or the problem that kept it out.

In a batch each job gets its own verdict, and each queue is called once.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from chalicelib import limits
from chalicelib.api.body import ParsedJob
from chalicelib.callers.auth import Principal
from chalicelib.errors import (
    EncryptionUnavailable,
    IdempotencyKeyReused,
    InsufficientScope,
    InvalidJob,
    Problem,
    QueueFull,
    QueueUnavailable,
    RateLimited,
    TooManyOpenJobs,
    TooMuchStored,
)
from chalicelib.jobs.admission import Admission, Caller, Decision, NewJob, Submission, accepted_job
from chalicelib.jobs.job_queue import new_job_id
from chalicelib.jobs.job_records import Record
from chalicelib.wiring import Services
from lambda_router_queue import metrics
from lambda_router_queue.metrics import Metric
from lambda_router_queue.models import FINAL_STATUSES, BatchItem, BatchVerdicts, Job
from lambda_router_queue.queue_keys import QueueKeys

#: Separates the batch's Idempotency-Key from a job's index; no caller can send this character.
KEY_SEPARATOR = "\x1f"


class Stored(NamedTuple):
    """A job that is in the queue. ``headers`` are those of a 202 response, without ``Location``."""

    job: Job
    headers: dict[str, str]


type Outcome = Stored | Problem


def submit(parts: Services, submission: Submission) -> list[Outcome]:
    """Submit the jobs and return one outcome each, in order. Raises what ``JobQueue`` raises."""
    admission = parts.queue.submit(submission)
    replayed = [decision.job_id for decision in admission.decisions if decision.verdict == "replayed"]
    found = _first_records(parts, submission, replayed)
    first = dict(zip(replayed, found, strict=True))
    headers = limits.rate_headers(parts.rate, admission.rate)
    outcomes: list[Outcome] = []
    for job, decision in zip(submission.jobs, admission.decisions, strict=True):
        if decision.verdict == "accepted":
            metrics.add(Metric.JOBS_ACCEPTED, 1, job.request.type)
            stored = accepted_job(submission, job, decision, admission.flow)
            hint = _first_hint(admission, stored, job.request.delay_seconds * 1000)
            outcomes.append(Stored(stored, headers | hint))
        elif decision.verdict == "replayed":
            metrics.add(Metric.JOBS_REPLAYED, 1)
            outcomes.append(_replay(first[decision.job_id], headers))
        else:
            outcomes.append(_refusal(parts, admission, decision, headers))
    return outcomes


def submit_batch(
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
        found = submit(parts, submission)
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


def _first_records(parts: Services, submission: Submission, job_ids: list[str]) -> list[Record | None]:
    """Return the jobs first sent with these keys. Several come without results, which might not fit through Lambda."""
    owner = submission.caller.owner
    if len(submission.jobs) == 1:
        return [parts.queue.record(owner, job_id, "look") for job_id in job_ids]
    jobs = parts.queue.look_all(submission.queue, owner, job_ids)
    return [None if job is None else Record(job, None) for job in jobs]


def _replay(first: Record | None, headers: dict[str, str]) -> Outcome:
    if first is None:  # records outlive their keys, so a failover lost part of the write
        return QueueUnavailable("The job first sent with this key cannot be read.", headers=limits.retry_after(1000))
    return Stored(first.job, headers | poll_hint(first) | {"Idempotency-Replayed": "true"})


def poll_hint(record: Record, at_least: int = 1) -> dict[str, str]:
    """Return ``Retry-After`` for an open job."""
    if record.job.status in FINAL_STATUSES:
        return {}
    return limits.retry_after(max(record.poll_ms, at_least * 1000), at_most=limits.MAX_POLL_SECONDS)


def _first_hint(admission: Admission, job: Job, delay_ms: int) -> dict[str, str]:
    """Return ``Retry-After`` for a job that was just stored: when it is likely to be done, within bounds."""
    flow = admission.flow
    start = flow.start_delay_ms(job.position) if job.position else None
    done_ms = delay_ms + (start or 0) + flow.service_ms
    return limits.retry_after(done_ms, at_most=limits.MAX_POLL_SECONDS)


def _refusal(parts: Services, admission: Admission, decision: Decision, headers: dict[str, str]) -> Problem:
    match decision.verdict:
        case "reused":
            detail = "This Idempotency-Key was already used with a different body; use a new key."
            return IdempotencyKeyReused(detail, headers=headers)
        case "rate":
            detail = f"You may send {parts.rate.per_minute} jobs a minute, {parts.rate.burst} of them at once."
            wait = limits.retry_after(decision.wait_ms)
            return RateLimited(detail, headers=headers | wait, violated_policies=[limits.RATE_POLICY])
        case "open":
            cap = parts.settings.router_open_jobs_cap
            detail = f"You have reached the limit of {cap} open jobs; cancel some or let them finish."
            wait = limits.retry_after(admission.flow.service_ms)
            return TooManyOpenJobs(detail, headers=headers | wait, violated_policies=[limits.OPEN_JOBS_POLICY])
        case "caller_bytes":
            cap = parts.settings.router_caller_bytes_cap
            detail = (
                f"You have reached the limit of {cap:,} bytes stored, results included; wait until older jobs expire."
            )
            wait = limits.retry_after(limits.STORED_RETRY_MS)
            return TooMuchStored(detail, headers=headers | wait, violated_policies=[limits.STORED_BYTES_POLICY])
        case _:
            return _queue_full(admission, decision, headers)


def _queue_full(admission: Admission, decision: Decision, headers: dict[str, str]) -> QueueFull:
    match decision.verdict:
        case "delayed":
            detail = "The queue has reached its limit of delayed jobs; send the job without a delay, or later."
            wait_ms: float = limits.QUEUE_FULL_RETRY_MS
        case "queue_bytes":
            detail = "The queue has reached its limit of bytes stored; nothing was stored."
            wait_ms = limits.STORED_RETRY_MS
        case _:
            detail = "The queue is full; nothing was stored."
            wait_ms = admission.flow.drain_ms() or limits.QUEUE_FULL_RETRY_MS
    return QueueFull(detail, headers=headers | limits.retry_after(wait_ms))
