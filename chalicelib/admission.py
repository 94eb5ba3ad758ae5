"""One job on its way into a queue: what the admission script is asked, and what it answered."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from chalicelib.limits import RatePolicy, RateState
from chalicelib.models import PROTOCOL_VERSION, Job, JobRequest, rfc3339
from chalicelib.queue_keys import QueueKeys

Verdict = Literal["accepted", "replayed", "reused", "rate", "open", "full"]


@dataclass(frozen=True)
class QueuePolicy:
    """The caps and times that admission applies."""

    rate: RatePolicy
    queue_cap: int
    open_jobs_cap: int
    store_result_seconds: int
    idempotency_seconds: int


@dataclass(frozen=True)
class Submission:
    """A validated job, its caller and where it goes. ``job_id`` is drawn before Redis is asked."""

    job_id: str
    request: JobRequest
    queue: str
    owner: str
    request_id: str
    traceparent: str
    idempotency_key: str | None = None

    @property
    def keys(self) -> list[str]:
        """``KEYS`` of ``admit.lua``."""
        queue = QueueKeys(self.queue)
        idempotency = [queue.idempotency(self.owner, self.idempotency_key)] if self.idempotency_key else []
        return [
            queue.job(self.job_id),
            queue.stream(self.request.priority),
            queue.owner(self.owner),
            queue.open_jobs(self.owner),
            queue.rate(self.owner),
            *queue.streams,
            *idempotency,
        ]

    def args(self, policy: QueuePolicy) -> list[str | int | float]:
        """``ARGV`` of ``admit.lua``."""
        record = {
            "type": self.request.type,
            "queue": self.queue,
            "owner": self.owner,
            "priority": self.request.priority,
            "metadata": json.dumps(self.request.metadata),
            "request_id": self.request_id,
            "traceparent": self.traceparent,
        }
        return [
            self.job_id,
            self.envelope(),
            self.fingerprint(),
            self.request.ttl_seconds * 1000,
            policy.store_result_seconds * 1000,
            policy.idempotency_seconds * 1000,
            policy.rate.interval_ms,
            policy.rate.burst,
            policy.open_jobs_cap,
            policy.queue_cap,
            *(part for pair in record.items() for part in pair),
        ]

    def envelope(self) -> str:
        """The envelope as JSON, without ``created_at`` and ``deadline_at``: the script adds them by Redis's clock."""
        return _compact(
            {
                "v": PROTOCOL_VERSION,
                "id": self.job_id,
                "type": self.request.type,
                "queue": self.queue,
                "input": self.request.input.model_dump(mode="json", exclude_none=True),
                "owner": self.owner,
                "priority": self.request.priority,
                "metadata": self.request.metadata,
                "request_id": self.request_id,
                "traceparent": self.traceparent,
            }
        )

    def fingerprint(self) -> str:
        """Hash of the validated body: tells a repeat from another body, whatever its spacing or member order."""
        return hashlib.sha256(_compact(self.request.model_dump(mode="json")).encode()).hexdigest()


@dataclass(frozen=True)
class Admission:
    """The script's answer.

    Attributes:
        rate: where the caller stands now.
        wait_ms: for ``rate`` and ``open``: milliseconds until another try can succeed.
        job_id: the job that was stored, now or by the first request with this key.
    """

    verdict: Verdict
    created_at: int
    rate: RateState
    wait_ms: int
    job_id: str

    @classmethod
    def from_reply(cls, reply: Sequence[Any]) -> "Admission":
        verdict, created_at, remaining, reset_ms, wait_ms, job_id = reply
        return cls(verdict, int(created_at), RateState(int(remaining), int(reset_ms)), int(wait_ms), job_id)


def accepted_job(submission: Submission, created_at: int) -> Job:
    """The job as it stands right after it was stored."""
    request = submission.request
    return Job(
        id=submission.job_id,
        type=request.type,
        queue=submission.queue,
        status="queued",
        priority=request.priority,
        created_at=rfc3339(created_at),
        expires_at=rfc3339(created_at + request.ttl_seconds * 1000),
        metadata=request.metadata,
        request_id=submission.request_id,
    )


def _compact(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
