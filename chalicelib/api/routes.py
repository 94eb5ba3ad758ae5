"""The HTTP surface: one short function per route. ``docs/contract.md`` says what each promises."""

import hashlib
import time
from collections.abc import Callable
from typing import Any

from chalice.app import Blueprint, Chalice, Request, Response

import chalicelib
from chalicelib import limits, wiring
from chalicelib.api import batches, gateway, openapi, openapi_parts, request_headers, verdicts
from chalicelib.api.body import parse_batch, parse_job
from chalicelib.api.middleware import request_id
from chalicelib.callers.auth import Principal
from chalicelib.errors import MalformedRequest, NotFound, Problem, QueueUnavailable, SigningKeysUnavailable
from chalicelib.jobs.admission import Caller, NewJob, Submission
from chalicelib.jobs.job_pages import Cursor
from chalicelib.jobs.job_queue import JobQueue, new_job_id
from chalicelib.jobs.job_records import JOB_ID
from chalicelib.jobs.waits import Waits
from chalicelib.observability import notes
from chalicelib.settings import Surface
from chalicelib.wiring import Services
from lambda_router_queue.models import FINAL_STATUSES, Job, JobPage

routes = Blueprint(__name__)

_open = gateway.open_route(wiring.surface())
_guarded = gateway.guarded_route(wiring.surface())

#: RFC 9110 section 9.1 requires every server to support both. The HTTP server in front of the function removes the
#: content of a response to HEAD.
_READ = ["GET", "HEAD"]

#: Time reserved for the response itself if a wait would outlast the function.
WAIT_RESERVE_SECONDS = 2.0


@routes.route("/health", methods=_READ, **_open)
def health() -> Response:
    """Report that the process responds, without using anything outside it."""
    request = _request()
    version = getattr(request.lambda_context, "function_version", "")
    return _json({"status": "ok", "version": chalicelib.__version__, "function_version": version})


@routes.route("/ready", methods=_READ, **_open)
def ready() -> Response:
    """Report whether Redis and the signing keys are available."""
    _request()
    parts = wiring.services()
    report = {"redis": _redis_probe(parts.queue), "jwks": _probe(lambda: parts.keys.key(""))}
    return _json(report, 200 if all(part["ok"] for part in report.values()) else 503)


@routes.route("/openapi.json", methods=_READ, **_open)
def openapi_document() -> Response:
    """Return the OpenAPI document of this deployment."""
    request = _request()
    parts = wiring.services()
    # The document's path without its last segment.
    base = request.context["path"].rstrip("/").rpartition("/")[0] or "/"
    return _json(openapi.document(parts.job_types, parts.settings.router_scope, base, parts.settings.body_limits))


@routes.route("/v1/jobs", methods=["POST"], **_guarded)
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
    return _json(outcome.job.model_dump_json(), 202, outcome.headers | {"Location": location})


@routes.route("/v1/jobs/batch", methods=["POST"], **_guarded)
def create_batch() -> Response:
    """Queue up to 100 jobs; one verdict each, in order."""
    parts, principal = _guard()
    request = _request()
    content_type = request_headers.one_header(request, "content-type")
    jobs = parse_batch(_bytes(request), content_type, parts.job_types, parts.settings.router_max_batch_bytes)
    key = request_headers.idempotency_key(request_headers.one_header(request, "idempotency-key"))
    return _json(batches.submit(parts, principal, _caller(request, principal), jobs, key).model_dump_json())


@routes.route("/v1/jobs", methods=_READ, **_guarded)
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
    return _json(page.model_dump_json())


@routes.route("/v1/jobs/{job_id}", methods=_READ, **_guarded)
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
        return Response("", _NO_STORE | headers, 304)
    if is_reader and known is not None and not job.store:  # only now: before a 304, taking the result would lose it
        job = _found(parts.queue.take(principal.owner, job_id))
    return _json(job.model_dump_json(), headers=headers)


@routes.route("/v1/jobs/{job_id}", methods=["DELETE"], **_guarded)
def cancel_job(job_id: str) -> Response:
    """Cancel a job that is still open, and return the job."""
    parts, principal = _guard()
    _request()
    return _json(_found(parts.queue.cancel(principal.owner, job_id)).model_dump_json())


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
    request = routes.current_request
    request_headers.require_json_acceptable(request_headers.header_values(request, "accept"))
    return request


def _guard() -> tuple[Services, Principal]:
    """Return the parts and the caller, once its token is verified and carries the scope."""
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


def _redis_probe(queue: JobQueue) -> dict[str, Any]:
    """Check that Redis responds, and that it does not delete jobs when its memory is full."""
    from chalicelib.jobs import eviction  # deferred: a cold start does not need it

    policies: list[str | None] = []
    report = _probe(lambda: policies.append(queue.eviction_policy()))
    reasons = [reason for policy in policies if (reason := eviction.shortcoming(policy))]
    if not reasons:
        return report
    notes().reason = reasons[0]
    return report | {"ok": policies == [None], "reason": reasons[0]}  # an unknown policy is no failure


def _probe(check: Any) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        check()
        reachable = True
    except (QueueUnavailable, SigningKeysUnavailable) as problem:
        reachable = False
        notes().reason = getattr(problem, "reason", None)
    return {"ok": reachable, "latency_ms": round((time.perf_counter() - started) * 1000, 3)}


_NO_STORE: dict[str, Any] = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, _NO_STORE | {"Content-Type": "application/json"} | (headers or {}), status)
