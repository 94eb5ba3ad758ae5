"""The routes of jobs: one short function each. ``docs/contract.md`` says what each promises."""

import hashlib
from collections.abc import Callable

from chalice.app import Blueprint, Chalice, Request, Response

from chalicelib import errors, limits, wiring
from chalicelib.api import gateway, openapi_parts, request_headers, verdicts
from chalicelib.api.body import parse_batch, parse_job
from chalicelib.api.gateway import READ
from chalicelib.api.guard import affordable_seconds, body_bytes, caller_of, guarded, note_job
from chalicelib.api.operations import BODY, SIGNED_IN, Answer, Operation, described_by
from chalicelib.api.responses import NO_STORE, json_response
from chalicelib.errors import NotFound, Problem
from chalicelib.jobs.admission import NewJob, Submission
from chalicelib.jobs.job_pages import Cursor
from chalicelib.jobs.job_queue import new_job_id
from chalicelib.jobs.job_records import Record
from chalicelib.jobs.waits import Waits
from chalicelib.observability import notes
from chalicelib.settings import Surface
from lambda_router_queue.models import FINAL_STATUSES, Job, JobPage

routes = Blueprint(__name__)

_GUARDED_ROUTE = gateway.guarded_route(wiring.surface())


@routes.route("/v1/jobs", methods=["POST"], **_GUARDED_ROUTE)
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
    request = routes.current_request
    services, principal = guarded(request)
    content_type = request_headers.one_header(request, "content-type")
    job = parse_job(body_bytes(request), content_type, services.job_types, services.settings.router_max_body_bytes)
    principal.require(job.job_type.scope)
    key = request_headers.idempotency_key(request_headers.one_header(request, "idempotency-key"))
    queue = services.queue_of(job.job_type, job.request)
    new = NewJob(new_job_id(queue), job.request, job.job_type, key)
    (outcome,) = verdicts.submit(services, Submission([new], queue, caller_of(request, principal)))
    if isinstance(outcome, Problem):
        raise outcome
    notes().job_id = outcome.job.id
    # The path as the caller sees it, including API Gateway's stage or base path.
    location = f"{request.context['path'].rstrip('/')}/{outcome.job.id}"
    return json_response(outcome.job.model_dump_json(), 202, outcome.headers | {"Location": location})


@routes.route("/v1/jobs/batch", methods=["POST"], **_GUARDED_ROUTE)
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
    request = routes.current_request
    services, principal = guarded(request)
    content_type = request_headers.one_header(request, "content-type")
    jobs = parse_batch(body_bytes(request), content_type, services.job_types, services.settings.router_max_batch_bytes)
    key = request_headers.idempotency_key(request_headers.one_header(request, "idempotency-key"))
    return json_response(
        verdicts.submit_batch(services, principal, caller_of(request, principal), jobs, key).model_dump_json()
    )


@routes.route("/v1/jobs", methods=READ, **_GUARDED_ROUTE)
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
    request = routes.current_request
    services, principal = guarded(request)
    query = request_headers.single_query(request, frozenset({"limit", "status", "cursor"}))
    limit = request_headers.page_size(query, openapi_parts.DEFAULT_PAGE, openapi_parts.MAX_PAGE)
    after = Cursor.decode(query["cursor"]) if "cursor" in query else None
    found = services.queue.page(principal.owner, limit, request_headers.wanted_status(query), after)
    page = JobPage(
        data=found.jobs,
        has_more=found.after is not None,
        next_cursor=found.after.encode() if found.after else None,
        stopped_early=found.stopped_early,
    )
    return json_response(page.model_dump_json())


@routes.route("/v1/jobs/{job_id}", methods=READ, **_GUARDED_ROUTE)
@described_by(
    Operation(
        "getJob",
        "One job; `Prefer: wait=N` holds the response until the job is final",
        {
            200: Answer("The job as it now stands.", "Job", ("ETag", "Preference-Applied", "Retry-After")),
            304: Answer("Unchanged since that ETag.", None, ("ETag", "Preference-Applied", "Retry-After")),
        },
        (*SIGNED_IN, errors.NotFound, errors.MalformedRequest),
        parameters=(openapi_parts.PREFER, openapi_parts.IF_NONE_MATCH),
    )
)
def get_job(job_id: str) -> Response:
    """Return one job; with ``Prefer: wait=N``, as soon as it is final or after N seconds."""
    request = routes.current_request
    services, principal = guarded(request)
    condition = ", ".join(request_headers.header_values(request, "if-none-match")) or None  # RFC 9110 section 5.3
    # ``take`` uses up a result that is not kept, so it is called only for a response with content: neither for HEAD nor
    # for a 304. With a condition, only a look shows whether there will be a 304.
    has_content = request.method == "GET"
    queue, is_taken = services.queue, has_content and condition is None
    note_job(job_id)

    def read() -> Record:
        owner = principal.owner
        return _found(queue.take_record(owner, job_id) if is_taken else queue.record(owner, job_id, "look"))

    record, granted = _awaited(request, services.waits, principal.owner, read)
    job, headers = record.job, {"ETag": _etag(record.job)} | granted
    if request_headers.etag_matches(condition, headers["ETag"]):
        return Response("", NO_STORE | headers, 304)
    if has_content and condition is not None and not job.store:
        job = _found(queue.take(principal.owner, job_id))
    return json_response(job.model_dump_json(), headers=headers)


@routes.route("/v1/jobs/{job_id}/events", methods=READ, **_GUARDED_ROUTE)
@described_by(
    Operation(
        "listEvents",
        "The live output of one job, and the job once it is final; waits if there is nothing new",
        {
            200: Answer("What there is behind `after`.", "EventPage", is_streamed=True),
            204: Answer("Nothing follows `after`: you have it all.", None),
        },
        (*SIGNED_IN, errors.NotFound, errors.MalformedRequest),
        parameters=(openapi_parts.AFTER, openapi_parts.LAST_EVENT_ID),
    )
)
def list_events(job_id: str) -> Response:
    """Return a job's live output, as server-sent events or as JSON."""
    request = routes.current_request
    services, principal = guarded(request, is_json=False)
    note_job(job_id)
    from chalicelib.api.job_events import event_response  # deferred: not at a cold start

    return event_response(request, services, principal.owner, job_id)


@routes.route("/v1/jobs/{job_id}", methods=["DELETE"], **_GUARDED_ROUTE)
@described_by(
    Operation(
        "cancelJob",
        "Cancel a job; repeating the request changes nothing",
        {200: Answer("The job as it now stands.", "Job")},
        (*SIGNED_IN, errors.NotFound),
    )
)
def cancel_job(job_id: str) -> Response:
    """Cancel a job that is still open, and return the job."""
    services, principal = guarded(routes.current_request)
    return json_response(_found(services.queue.cancel(principal.owner, job_id)).model_dump_json())


def answer_preflights(app: Chalice, surface: Surface) -> None:
    """Give every path an OPTIONS method if several origins may call the API.

    Each response then has to name the origin of its request. API Gateway's own preflight responses, which Chalice
    configures for a single origin, cannot do that.
    """
    if gateway.has_several_origins(surface):
        for path in list(app.routes):
            app.route(path, methods=["OPTIONS"], **gateway.open_route(surface))(preflight)


def preflight(**_: str) -> Response:
    """Return the methods that a page may use on this path; middleware adds the other CORS headers."""
    request = routes.current_request
    methods = ",".join(sorted(routes.current_app.routes[request.path]))
    return Response("", {"Access-Control-Allow-Methods": methods}, 204)


def _awaited(request: Request, waits: Waits, owner: str, look: Callable[[], Record]) -> tuple[Record, dict[str, str]]:
    """Return the caller's job once it is final or the wait is over, and headers.

    The headers say which wait was accepted. That is the requested wait, up to the limit, even if the function's timeout
    ends it sooner; it is 0 if no place was free. Without a ``Prefer: wait`` the job is returned at once. A response
    that was not held says when to poll again.
    """
    wanted = request_headers.preferred_wait(request_headers.header_values(request, "prefer"), limits.MAX_WAIT_SECONDS)
    record = look()
    if wanted is None:
        return record, verdicts.poll_hint(record)
    applied = {"Preference-Applied": f"wait={wanted}"}
    seconds = affordable_seconds(request, wanted)
    if seconds <= 0 or record.job.status in FINAL_STATUSES:
        return record, applied | verdicts.poll_hint(record)
    record_after_wait = waits.until_final(look, owner, seconds)
    if record_after_wait is None:  # no place was free
        return record, {"Preference-Applied": "wait=0"} | verdicts.poll_hint(record, limits.NO_PLACE_RETRY_SECONDS)
    return record_after_wait, applied


def _etag(job: Job) -> str:
    """Return a tag that changes when the job changes.

    The tag is weak because it leaves out two members. ``estimated_start_at`` changes with every read. ``result`` is not
    shown by every read; it is written once, together with the status, which the tag covers.
    """
    lasting = job.model_dump_json(exclude={"estimated_start_at", "result"})
    return f'W/"{hashlib.sha256(lasting.encode()).hexdigest()[:32]}"'


def _found[T](found: T | None) -> T:
    """Return the job, or its record. Raises NotFound if there is none."""
    if found is None:
        raise NotFound("You have no job with that id.")
    return found
