"""The job that a request to the OpenAI API stores, and the place that it takes to wait for it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from chalice.app import Request

from chalicelib import limits
from chalicelib.api import request_headers, verdicts
from chalicelib.api.guard import affordable_seconds, body_bytes, caller_of
from chalicelib.api.streamed import can_stream
from chalicelib.callers.auth import Principal
from chalicelib.errors import NotFound, Problem, QueueUnavailable, TooManyHeld
from chalicelib.jobs.admission import NewJob, Submission, Try
from chalicelib.jobs.job_queue import new_job_id
from chalicelib.jobs.job_records import Record
from chalicelib.jobs.job_types import JobType
from chalicelib.jobs.waits import Hold
from chalicelib.observability import notes
from chalicelib.openai.response_object import is_read
from chalicelib.wiring import Services
from lambda_router_queue.models import FINAL_STATUSES, Job, JobRequest

#: How long a response that is not stored can be read, once.
MOST_KEPT_SECONDS = 600.0

#: How often a request is submitted again because another try of it, whose response was lost, has read the answer: as
#: often as there are other tries of a client with its usual settings.
MOST_OTHER_TRIES = 2

#: Header in which OpenAI's clients say how often they have repeated a request.
RETRY_COUNT = "x-stainless-retry-count"


class Wanted(NamedTuple):
    """A job to be submitted for a request."""

    request: JobRequest
    job_type: JobType
    openai: str | None = None


class HeldJobs:
    """The jobs of one request of one caller.

    Attributes:
        rate: headers that tell the caller's rate, once a job is submitted.
    """

    def __init__(self, services: Services, principal: Principal, request: Request) -> None:
        self._services = services
        self._owner = principal.owner
        self._principal = principal
        self._request = request
        self.rate: dict[str, str] = {}

    @contextmanager
    def place(self) -> Iterator[Hold]:
        """Take a place, for as long as this environment may take over the response. Raises TooManyHeld."""
        streamed = can_stream(self._request)
        most = self._services.settings.router_stream_seconds if streamed else limits.MAX_HOLD_SECONDS
        seconds = affordable_seconds(self._request, most)
        with self._services.waits.place(self._owner, seconds, streamed=streamed) as hold:
            if hold is None:
                raise TooManyHeld(
                    "You, or all callers together, have as many held and streamed responses as is allowed; nothing was"
                    " stored. Repeat the request, or send background: true to /v1/responses, without stream: true.",
                    headers=limits.retry_after(limits.NO_PLACE_RETRY_SECONDS * 1000),
                )
            yield hold

    def held(self, wanted: Wanted, hold: Hold) -> Job:
        """Submit a job, and return it once it is final or the time is up."""
        job = self.taken(self.submit(wanted), hold)
        for _ in range(MOST_OTHER_TRIES):
            if is_read(job):
                job = self.taken(self.submit(wanted), hold)
        return job

    def taken(self, job: Job, hold: Hold) -> Job:
        """Wait for the job, and return it. A result that is not kept is deleted."""
        if job.result is not None:
            return job
        queue, owner = self._services.queue, self._owner
        if job.status not in FINAL_STATUSES:
            hold.until_final(lambda: found(queue.record(owner, job.id, "brief")))
        return found(queue.take_record(owner, job.id)).job

    def submit(self, wanted: Wanted) -> Job:
        """Store the job, or return the one that an earlier try of the same request stored. Raises the refusal."""
        key = request_headers.idempotency_key(request_headers.one_header(self._request, "idempotency-key"))
        repeat = None if key else self._try()
        job = self._submitted(wanted, key, repeat)
        if job is None and key:
            raise NotFound("The response first sent with this Idempotency-Key is gone: it was deleted, or read once.")
        job = job or self._submitted(wanted, None, repeat)  # the same try joins no job twice
        if job is None:
            raise QueueUnavailable("The job cannot be read.", headers=limits.retry_after(1000))
        notes().job_id = job.id
        return job

    def _submitted(self, wanted: Wanted, key: str | None, repeat: Try | None) -> Job | None:
        """Return the job that is stored now or was before; None if the earlier one has no answer any more."""
        queue = self._services.queue_of(wanted.job_type, wanted.request)
        job = NewJob(new_job_id(queue), wanted.request, wanted.job_type, key, repeat, wanted.openai)
        kept = {} if wanted.request.store else {"most_kept_seconds": MOST_KEPT_SECONDS}
        submission = Submission([job], queue, caller_of(self._request, self._principal), **kept)
        (outcome,) = verdicts.submit(self._services, submission)
        if isinstance(outcome, QueueUnavailable):  # the earlier one has no record any more
            return None
        if isinstance(outcome, Problem):
            raise outcome
        self.rate = {name: outcome.headers[name] for name in limits.RATE_HEADERS}
        if "Idempotency-Replayed" not in outcome.headers or not is_read(outcome.job):
            return outcome.job
        # Perhaps nobody has read it yet.
        taken = found(self._services.queue.take_record(self._owner, outcome.job.id)).job
        return None if is_read(taken) else taken

    def _try(self) -> Try | None:
        """Return which try of its client this request is; None for a client that does not say."""
        count = request_headers.one_header(self._request, RETRY_COUNT)
        if count is None or not count.isdecimal() or len(count) > 2:
            return None
        path = self._request.path.encode()
        return Try(hashlib.sha256(path + b"\n" + body_bytes(self._request)).hexdigest()[:32], int(count))


def found(record: Record | None) -> Record:
    """Return the record. Raises NotFound if there is none."""
    if record is None:
        raise NotFound("You have no response with that id.")
    return record
