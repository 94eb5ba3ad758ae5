"""The routes of jobs: one short function each. ``docs/contract.md`` says what each promises."""

import hashlib
from collections.abc import Callable
from typing import Any

from chalice.app import Blueprint, Chalice, Request, Response

from chalicelib import errors, limits, wiring
from chalicelib.api import batches, gateway, openapi_parts, request_headers, verdicts
from chalicelib.api.body import parse_batch, parse_job
from chalicelib.api.gateway import READ
from chalicelib.api.middleware import request_id
from chalicelib.api.operations import BODY, SIGNED_IN, Answer, Operation, described_by
from chalicelib.api.responses import NO_STORE, json_response
from chalicelib.callers.auth import Principal
from chalicelib.errors import MalformedRequest, NotFound, Problem
from chalicelib.jobs.admission import Caller, NewJob, Submission
from chalicelib.jobs.job_pages import Cursor
from chalicelib.jobs.job_queue import new_job_id
from chalicelib.jobs.job_records import JOB_ID
from chalicelib.jobs.waits import Waits
from chalicelib.observability import notes
from chalicelib.settings import Surface
from chalicelib.wiring import Services
from lambda_router_queue.models import FINAL_STATUSES, Job, JobPage

routes = Blueprint(__name__)

_guarded = gateway.guarded_route(wiring.surface())

#: Time reserved for the response itself if a wait would outlast the function.
WAIT_RESERVE_SECONDS = 2.0


@routes.route("/v1/jobs", methods=["POST"], **_guarded)
@described_by(
    Operation(
        "createJob",
        "Queue a job",
        {
            202: Answer(
                "Stored. Poll `Location`.",
                "Job",
                ("Location", "Retry-After", "RateLimit", "RateLimit-Policy", "Idempotency-Replayed"),
            )
        },
        (
            *SIGNED_IN,
            *BODY,
            errors.IdempotencyKeyReused,
            errors.RateLimited,
            errors.TooManyOpenJobs,
            errors.TooMuchStored,
            errors.QueueFull,
        ),
        parameters=(openapi_parts.IDEMPOTENCY_KEY, openapi_parts.TRACEPARENT),
        body="job",
    )
)
def create_job() -> Response:
    """Queue a job."""
    parts, principal = _guard()
    request = _request()
    content_type = request_headers.one_header(request, "content-type")
    job = parse_job(_bytes(request), content_type, parts.job_types, parts.settings.router_max_body_bytes)
    principal.require(job.job_type.scope)
    key = request_headers.idempotency_key(request_headers.one_header(request, "idempotency-key"))
    new = NewJob(new_job_id(), job.request, job.job_type, key)
    queue = parts.queue.keys(parts.queue_of(job.job_type))
    (outcome,) = verdicts.submit(parts, Submission([new], queue, _caller(request, principal)))
    if isinstance(outcome, Problem):
        raise outcome
    notes().job_id = outcome.job.id
    # The path as the caller sees it, including API Gateway's stage or base path.
    location = f"{request.context['path'].rstrip('/')}/{outcome.job.id}"
    return json_response(outcome.job.model_dump_json(), 202, outcome.headers | {"Location": location})


@routes.route("/v1/jobs/batch", methods=["POST"], **_guarded)
@described_by(
    Operation(
        "createBatch",
        "Queue up to 100 jobs; one verdict each, in order",
        {200: Answer("The verdicts.", "BatchVerdicts")},
        (*SIGNED_IN, *BODY),
        parameters=(openapi_parts.IDEMPOTENCY_KEY, openapi_parts.TRACEPARENT),
        body="batch",
    )
)
def create_batch() -> Response:
    """Queue up to 100 jobs; one verdict each, in order."""
    parts, principal = _guard()
    request = _request()
    content_type = request_headers.one_header(request, "content-type")
    jobs = parse_batch(_bytes(request), content_type, parts.job_types, parts.settings.router_max_batch_bytes)
    key = request_headers.idempotency_key(request_headers.one_header(request, "idempotency-key"))
    return json_response(batches.submit(parts, principal, _caller(request, principal), jobs, key).model_dump_json())


@routes.route("/v1/jobs", methods=READ, **_guarded)
@described_by(
    Operation(
        "listJobs",
        "Your jobs, newest first",
        {200: Answer("One page.", "JobPage")},
        (*SIGNED_IN, errors.MalformedRequest),
        parameters=openapi_parts.PAGE_PARAMETERS,
    )
)
def list_jobs() -> Response:
    """List the caller's jobs, newest first."""
    parts, principal = _guard()
    query = request_headers.single_query(_request(), frozenset({"limit", "status", "cursor"}))
    limit = request_headers.page_size(query, openapi_parts.DEFAULT_PAGE, openapi_parts.MAX_PAGE)
    after = Cursor.decode(query["cursor"]) if "cursor" in query else None
    found = parts.queue.page(principal.owner, limit, request_headers.wanted_status(query), after)
    page = JobPage(
        data=found.jobs,
        has_more=found.after is not None,
        next_cursor=found.after.encode() if found.after else None,
        stopped_early=found.stopped_early,
    )
    return json_response(page.model_dump_json())


@routes.route("/v1/jobs/{job_id}", methods=READ, **_guarded)
@described_by(
    Operation(
        "getJob",
        "One job; with `Prefer: wait=N` as soon as it is final",
        {
            200: Answer("The job as it now stands.", "Job", ("ETag", "Preference-Applied", "Retry-After")),
            304: Answer("Unchanged since that ETag.", None),
        },
        (*SIGNED_IN, errors.NotFound, errors.MalformedRequest),
        parameters=(openapi_parts.PREFER, openapi_parts.IF_NONE_MATCH),
    )
)
def get_job(job_id: str) -> Response:
    """Return one job; with ``Prefer: wait=N``, as soon as it is final or after N seconds."""
    parts, principal = _guard()
    request = _request()
    known = ", ".join(request_headers.header_values(request, "if-none-match")) or None  # RFC 9110 section 5.3
    is_reader = request.method == "GET"  # HEAD returns no result, and takes none from its reader
    read = parts.queue.take if is_reader and known is None else parts.queue.look
    _note_job(job_id)
    job, applied = _awaited(request, parts.waits, principal.owner, lambda: _found(read(principal.owner, job_id)))
    headers = {"ETag": _etag(job)} | applied
    if request_headers.etag_matches(known, headers["ETag"]):
        return Response("", NO_STORE | headers, 304)
    if is_reader and known is not None and not job.store:  # only now: before a 304, taking the result would lose it
        job = _found(parts.queue.take(principal.owner, job_id))
    return json_response(job.model_dump_json(), headers=headers)


@routes.route("/v1/jobs/{job_id}", methods=["DELETE"], **_guarded)
@described_by(
    Operation(
        "cancelJob",
        "Cancel a job; repeating it changes nothing",
        {200: Answer("The job as it now stands.", "Job")},
        (*SIGNED_IN, errors.NotFound),
    )
)
def cancel_job(job_id: str) -> Response:
    """Cancel a job that is still open, and return the job."""
    parts, principal = _guard()
    _request()
    return json_response(_found(parts.queue.cancel(principal.owner, job_id)).model_dump_json())


def answer_preflights(app: Chalice, surface: Surface) -> None:
    """Give every path an OPTIONS method if each response has to name the origin of its request.

    API Gateway's own preflight responses, which Chalice generates for a single origin, cannot do that.
    """
    if gateway.names_the_asking(surface):
        for path in list(app.routes):
            app.route(path, methods=["OPTIONS"], **gateway.open_route(surface))(preflight)


def preflight(**_: str) -> Response:
    """Return the methods that a page may use on this path; middleware adds the other headers."""
    request = routes.current_request
    methods = ",".join(sorted(routes.current_app.routes[request.path]))
    return Response("", {"Access-Control-Allow-Methods": methods}, 204)


def _request() -> Request:
    return request_headers.acceptable(routes.current_request)


def _guard() -> tuple[Services, Principal]:
    """Return the services and the caller, once the caller's token is verified and carries the scope."""
    parts = wiring.services()
    principal = parts.verifier.authenticate(request_headers.header_values(routes.current_request, "authorization"))
    notes().principal = principal.owner
    principal.require(parts.settings.router_scope)
    return parts, principal


def _caller(request: Request, principal: Principal) -> Caller:
    sent = request_headers.header_values(request, "traceparent")
    trace = request_headers.traceparent(sent[0] if len(sent) == 1 else None)
    notes().trace_id = trace.split("-")[1]
    return Caller(principal.owner, request_id(request), trace)


def _note_job(job_id: str) -> None:
    if JOB_ID.fullmatch(job_id):  # otherwise it is any text that the caller sent
        notes().job_id = job_id


def _awaited(request: Request, waits: Waits, owner: str, look: Callable[[], Job]) -> tuple[Job, dict[str, str]]:
    """Return the caller's job, once it is final or its wait is over, and headers that say which wait was granted."""
    wait = request_headers.preferred_wait(request_headers.header_values(request, "prefer"), limits.MAX_WAIT_SECONDS)
    job = look()
    if wait is None:
        return job, {}
    seconds = _affordable(request, wait)
    if seconds > 0 and job.status not in FINAL_STATUSES:
        waited = waits.until_final(look, owner, seconds)
        if waited is None:
            return job, {"Preference-Applied": "wait=0"} | limits.retry_after(limits.NO_PLACE_RETRY_SECONDS * 1000)
        job = waited
    return job, {"Preference-Applied": f"wait={wait}"}


def _affordable(request: Request, seconds: int) -> float:
    """Shorten the wait so that the function does not run out of time while it holds the request."""
    context: Any = request.lambda_context
    remaining: float = context.get_remaining_time_in_millis() / 1000
    return min(seconds, remaining - WAIT_RESERVE_SECONDS)


def _bytes(request: Request) -> bytes:
    try:
        body = request.raw_body
        return body.encode() if isinstance(body, str) else body
    except ValueError:
        raise MalformedRequest("The event's body does not match its isBase64Encoded.") from None


def _etag(job: Job) -> str:
    """Return a tag that changes when the job changes.

    It is weak because it leaves out two members. The estimate changes with every read. The result is written once,
    together with the status, and not every read shows it.
    """
    lasting = job.model_dump_json(exclude={"estimated_start_at", "result"})
    return f'W/"{hashlib.sha256(lasting.encode()).hexdigest()[:32]}"'


def _found(job: Job | None) -> Job:
    if job is None:
        raise NotFound("You have no job with that id.")
    return job
