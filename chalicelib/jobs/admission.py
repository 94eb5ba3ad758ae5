"""Admission of new jobs: the arguments of the admission script, and its reply."""

import hashlib
import json
import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, Literal, NamedTuple, cast

from pydantic_core import to_json

from chalicelib.jobs.job_types import JobType
from chalicelib.jobs.sampling import LATER_MEMBERS, Sampling
from chalicelib.limits import RatePolicy, RateState
from chalicelib.observability import odd_figure
from lambda_router_queue.encryption.sealing import Place, Sealer
from lambda_router_queue.flow import Flow
from lambda_router_queue.models import DEFAULT_TTL_SECONDS, PROTOCOL_VERSION, Job, JobRequest, rfc3339
from lambda_router_queue.queue_keys import PRIORITIES, QueueKeys

_ENCODER = json.JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=False)

Verdict = Literal["accepted", "replayed", "reused", "rate", "open", "full", "delayed", "caller_bytes", "queue_bytes"]


class QueuePolicy(NamedTuple):
    """The limits and times that admission applies."""

    rate: RatePolicy
    queue_cap: int
    open_jobs_cap: int
    newcomers_percent: int
    delayed_percent: int
    caller_bytes_cap: int
    queue_bytes_cap: int
    store_result_seconds: int
    idempotency_seconds: int
    events_seconds: int


class Try(NamedTuple):
    """One of the tries of a request that its client may repeat by itself, as OpenAI's do.

    Attributes:
        digest: of the request, the same for all tries.
        number: 0 for the first one.
    """

    digest: str
    number: int


class NewJob(NamedTuple):
    """A validated job. Its id is generated before Redis is called, so that a retry of the call stores it once.

    Attributes:
        repeat: for a client that repeats requests without an ``Idempotency-Key``: which try this is.
        openai: the request as the OpenAI API shows it, as JSON. It is removed with the result or with the record.
    """

    job_id: str
    request: JobRequest
    job_type: JobType
    idempotency_key: str | None = None
    repeat: Try | None = None
    openai: str | None = None

    def fingerprint(self) -> str:
        """Hash the validated body, to tell a retry from a different body whatever its spacing or member order.

        A remembered key stays valid when the deployment changes. So members that did not exist before are omitted, and
        a waiting time that the caller left to the setting counts as the fixed one from before there was a setting.
        """
        later = {"store"} if self.request.store else set()
        body = self.request.model_dump(mode="json", exclude=later)
        if isinstance(self.request.input, Sampling):
            body["input"] = _without_later_members(body["input"])
        if "ttl_seconds" not in self.request.model_fields_set:
            body["ttl_seconds"] = DEFAULT_TTL_SECONDS
        if self.openai is not None:
            body["openai"] = self.openai
        return hashlib.sha256(_compact(body).encode()).hexdigest()


def _without_later_members(document: dict[str, Any]) -> dict[str, Any]:
    """Return a text job's input without the omitted members that inputs did not have at first."""
    kept = {name: value for name, value in document.items() if value is not None or name not in LATER_MEMBERS}
    if "messages" in kept:
        kept["messages"] = [_without_nulls(message) for message in kept["messages"]]
    return kept


def _without_nulls(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if value is not None}


class Caller(NamedTuple):
    """The caller and its request: the values that every job of the request carries."""

    owner: str
    request_id: str
    traceparent: str


class Submission(NamedTuple):
    """New jobs of one caller for one queue.

    Attributes:
        most_kept_seconds: how long their results are kept at most, whatever the setting allows.
    """

    jobs: Sequence[NewJob]
    queue: QueueKeys
    caller: Caller
    most_kept_seconds: float = math.inf

    @property
    def keys(self) -> list[str]:
        """``KEYS`` of ``admit.lua``."""
        queue, owner = self.queue, self.caller.owner
        own = [queue.owner(owner), queue.open_jobs(owner), queue.rate(owner)]
        shared = [queue.scheduled, *own, queue.flow, queue.retrying, queue.stored_bytes(owner), *queue.streams]
        return [*shared, *chain.from_iterable(map(self._job_keys, self.jobs))]

    def args(self, policy: QueuePolicy, sealer: Sealer | None = None) -> list[str | int | float]:
        """Return ``ARGV`` of ``admit.lua``; inputs are encrypted if there is a sealer. Raises KeyUnavailable."""
        return [
            round(min(policy.store_result_seconds, self.most_kept_seconds) * 1000),
            policy.idempotency_seconds * 1000,
            policy.rate.interval_ms,
            policy.rate.burst,
            policy.open_jobs_cap,
            policy.queue_cap,
            policy.newcomers_percent,
            policy.delayed_percent,
            policy.caller_bytes_cap,
            policy.queue_bytes_cap,
            self.queue.queue,
            self.caller.owner,
            self.caller.request_id,
            self.caller.traceparent,
            policy.events_seconds * 1000,
            *chain.from_iterable(self._job_args(job, sealer) for job in self.jobs),
        ]

    def envelope(self, job: NewJob, sealer: Sealer | None = None) -> str:
        """Return the envelope as JSON. The script adds ``created_at`` and ``deadline_at`` by Redis's clock."""
        request = job.request
        document = {
            "v": PROTOCOL_VERSION,
            "id": job.job_id,
            "type": request.type,
            "queue": self.queue.queue,
            "owner": self.caller.owner,
            "priority": request.priority,
            "metadata": request.metadata,
            "request_id": self.caller.request_id,
            "traceparent": self.caller.traceparent,
        }
        kept: dict[str, Any] = {} if request.store else {"store": False}
        return to_json(document | kept | job.job_type.terms | self._input(job, sealer)).decode()

    def _input(self, job: NewJob, sealer: Sealer | None) -> dict[str, Any]:
        document = job.request.input.model_dump(mode="json", exclude_none=True)
        if sealer is None:
            return {"input": document}
        place = Place(self.queue.queue, job.job_id, self.caller.owner, "input")
        return {"encrypted_input": sealer.seal(_compact(document), place)}

    def _openai(self, job: NewJob, sealer: Sealer | None) -> str:
        if job.openai is None or sealer is None:
            return job.openai or ""
        return sealer.seal(job.openai, Place(self.queue.queue, job.job_id, self.caller.owner, "openai"))

    def _job_keys(self, job: NewJob) -> tuple[str, str]:
        record, owner = self.queue.job(job.job_id), self.caller.owner
        if job.idempotency_key is not None:
            return record, self.queue.idempotency(owner, job.idempotency_key)
        return record, self.queue.tries(owner, job.repeat.digest) if job.repeat else record

    def _job_args(self, job: NewJob, sealer: Sealer | None) -> Sequence[str | int]:
        request, keyed = job.request, job.idempotency_key is not None
        second_key = "key" if keyed else f"try {job.repeat.number}" if job.repeat else "none"
        return (
            job.job_id,
            self.envelope(job, sealer),
            job.fingerprint() if keyed else "",
            request.ttl_seconds * 1000,
            request.delay_seconds * 1000,
            PRIORITIES.index(request.priority),
            second_key,
            request.type,
            request.priority,
            to_json(request.metadata).decode(),
            int(request.store),
            self._openai(job, sealer),
        )


class Decision(NamedTuple):
    """The decision about one job.

    Attributes:
        wait_ms: for ``rate``: milliseconds until a retry can succeed.
        job_id: the job that was stored, now or by the first request with this key.
        stream, seq: an accepted job's place in line; None while it has none.
    """

    verdict: Verdict
    created_at: int
    wait_ms: int
    job_id: str
    stream: int | None = None
    seq: int | None = None

    @classmethod
    def from_line(cls, line: str) -> "Decision":
        verdict, created_at, wait_ms, job_id, *place = line.split()
        return cls(cast(Verdict, verdict), int(created_at), int(wait_ms), job_id, *map(int, place))


class Admission(NamedTuple):
    """The script's reply: a decision per job, the caller's rate, and how the queue moves.

    Attributes:
        lapsed: if a cap rejected a job, the ids of the caller's expired jobs, which hold places until they are settled.
    """

    decisions: Sequence[Decision]
    rate: RateState
    flow: Flow
    lapsed: Sequence[str] = ()

    @classmethod
    def from_reply(cls, reply: str, jobs: int) -> "Admission":
        """Parse the reply of ``admit.lua`` about that many jobs. An overwritten figure may span several lines."""
        caller, *lines = reply.split("\n")
        figures, decisions = "\n".join(lines[:-jobs]), lines[-jobs:]
        numbers = caller.split()
        remaining, reset_ms, now_ms = map(int, numbers[:3])
        return cls(
            decisions=[Decision.from_line(line) for line in decisions],
            rate=RateState(remaining, reset_ms),
            flow=Flow.from_line(figures, now_ms, odd_figure),
            lapsed=numbers[3:],
        )


def accepted_job(submission: Submission, job: NewJob, decision: Decision, flow: Flow) -> Job:
    """Return the job as it is right after it was stored."""
    request, created_at = job.request, decision.created_at
    due = created_at + request.delay_seconds * 1000
    position, start_at = flow.place(created_at, decision.stream, decision.seq, due)
    return Job(
        id=job.job_id,
        type=request.type,
        queue=submission.queue.queue,
        status="queued",
        priority=request.priority,
        created_at=rfc3339(created_at),
        expires_at=rfc3339(due + request.ttl_seconds * 1000),
        position=position,
        estimated_start_at=start_at,
        metadata=request.metadata,
        store=request.store,
        request_id=submission.caller.request_id,
    )


def _compact(document: Any) -> str:
    return _ENCODER.encode(document)
