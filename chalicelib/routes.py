"""The HTTP surface: one short function per route. ``docs/contract.md`` says what each promises."""

import hashlib
import time
from typing import Any

from chalice.app import Blueprint, Request, Response

import chalicelib
from chalicelib import gateway, limits, openapi, request_headers, wiring
from chalicelib.admission import Admission, Submission, accepted_job
from chalicelib.auth import Principal
from chalicelib.body import parse_job
from chalicelib.errors import (
    IdempotencyKeyReused,
    NotFound,
    Problem,
    QueueFull,
    QueueUnavailable,
    RateLimited,
    SigningKeysUnavailable,
    TooManyOpenJobs,
)
from chalicelib.job_pages import Cursor
from chalicelib.job_queue import new_job_id
from chalicelib.middleware import request_id
from chalicelib.models import FINAL_STATUSES, Job, JobPage
from chalicelib.observability import Metric, emit, notes
from chalicelib.wiring import Services

routes = Blueprint(__name__)

_open = gateway.open_route(wiring.surface())
_guarded = gateway.guarded_route(wiring.surface())

#: Time that Lambda keeps for the answer itself when a wait would outlast the function.
WAIT_RESERVE_SECONDS = 2.0


@routes.route("/health", **_open)
def health() -> Response:
    """Whether the process answers; touches nothing outside it."""
    request = _request()
    version = getattr(request.lambda_context, "function_version", "")
    return _json({"status": "ok", "version": chalicelib.__version__, "function_version": version})


@routes.route("/ready", **_open)
def ready() -> Response:
    """Whether Redis and the signing keys can be had."""
    _request()
    parts = wiring.services()
    report = {"redis": _probe(parts.queue.ping), "jwks": _probe(lambda: parts.keys.key(""))}
    return _json(report, 200 if all(part["ok"] for part in report.values()) else 503)


@routes.route("/openapi.json", **_open)
def openapi_document() -> Response:
    """The OpenAPI document of this very deployment."""
    _request()
    parts = wiring.services()
    return _json(openapi.document(parts.job_types, parts.settings.router_scope))


@routes.route("/v1/jobs", methods=["POST"], **_guarded)
def create_job() -> Response:
    """Queue a job."""
    parts, principal = _guard()
    request = _request()
    job, job_type = parse_job(_bytes(request), request_headers.one_header(request, "content-type"), parts.job_types)
    if job_type.scope:
        principal.require(job_type.scope)
    trace = request_headers.traceparent(request.headers.get("traceparent"))
    submission = Submission(
        job_id=new_job_id(),
        request=job,
        queue=parts.queue_of(job_type),
        owner=principal.owner,
        request_id=request_id(request),
        traceparent=trace,
        idempotency_key=request_headers.idempotency_key(request_headers.one_header(request, "idempotency-key")),
    )
    notes().trace_id = trace.split("-")[1]
    return _admitted(parts, submission, parts.queue.submit(submission))


@routes.route("/v1/jobs", methods=["GET"], **_guarded)
def list_jobs() -> Response:
    """The caller's jobs, newest first."""
    parts, principal = _guard()
    query = request_headers.single_query(_request(), frozenset({"limit", "status", "cursor"}))
    limit = request_headers.page_size(query, openapi.DEFAULT_PAGE, openapi.MAX_PAGE)
    after = Cursor.decode(query["cursor"]) if "cursor" in query else None
    jobs, last = parts.queue.page(principal.owner, limit, request_headers.wanted_status(query), after)
    page = JobPage(data=jobs, has_more=last is not None, next_cursor=last.encode() if last else None)
    return _json(page.model_dump_json())


@routes.route("/v1/jobs/{job_id}", methods=["GET"], **_guarded)
def get_job(job_id: str) -> Response:
    """One job; with ``Prefer: wait=N`` as soon as it is final, or after N seconds."""
    parts, principal = _guard()
    request = _request()
    wait = request_headers.preferred_wait(request_headers.header_values(request, "prefer"), openapi.MAX_WAIT_SECONDS)
    job = _wait_for(parts, principal, job_id, _affordable(request, wait or 0))
    body = job.model_dump_json()
    headers = {"ETag": f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'}
    if wait is not None:
        headers["Preference-Applied"] = f"wait={wait}"
    if headers["ETag"] in (request.headers.get("if-none-match") or ""):
        return Response("", _NO_STORE | headers, 304)
    return _json(body, headers=headers)


@routes.route("/v1/jobs/{job_id}", methods=["DELETE"], **_guarded)
def cancel_job(job_id: str) -> Response:
    """Cancel a job that is still open; the job as it then stands."""
    parts, principal = _guard()
    _request()
    return _json(_found(parts.queue.cancel(principal.owner, job_id)).model_dump_json())


def _request() -> Request:
    request = routes.current_request
    request_headers.require_json_acceptable(request_headers.header_values(request, "accept"))
    return request


def _guard() -> tuple[Services, Principal]:
    """The parts, and the caller once its token is proved and carries the scope."""
    parts = wiring.services()
    principal = parts.verifier.authenticate(request_headers.header_values(routes.current_request, "authorization"))
    notes().principal = principal.owner
    principal.require(parts.settings.router_scope)
    return parts, principal


def _admitted(parts: Services, submission: Submission, admission: Admission) -> Response:
    """The 202 of a stored job, or the problem that says why it was not stored."""
    headers = limits.rate_headers(parts.rate, admission.rate)
    if admission.verdict == "accepted":
        emit(Metric.JOBS_ACCEPTED, 1, type=submission.request.type)
        return _accepted(accepted_job(submission, admission.created_at), headers)
    if admission.verdict == "replayed":
        emit(Metric.JOBS_REPLAYED, 1)
        first = parts.queue.look(submission.owner, admission.job_id)
        if first is None:  # records outlive their keys, so this is a write that a failover lost half of
            raise QueueUnavailable("The first job sent with this key cannot be read.", headers=limits.retry_after(1000))
        return _accepted(first, headers | {"Idempotency-Replayed": "true"})
    raise _refusal(parts, admission, headers)


def _accepted(job: Job, headers: dict[str, str]) -> Response:
    notes().job_id = job.id
    # The path as the caller sees it, API Gateway's stage or base path included.
    here = _request().context["path"].rstrip("/")
    headers |= {"Location": f"{here}/{job.id}"} | limits.retry_after(limits.POLL_AFTER_SECONDS * 1000)
    return _json(job.model_dump_json(), 202, headers)


def _refusal(parts: Services, admission: Admission, headers: dict[str, str]) -> Problem:
    wait = headers | limits.retry_after(admission.wait_ms)
    match admission.verdict:
        case "reused":
            return IdempotencyKeyReused(
                "This Idempotency-Key was sent before with another body; use a new key.", headers=headers
            )
        case "rate":
            detail = f"You may send {parts.rate.per_minute} jobs a minute, {parts.rate.burst} of them at once."
            return RateLimited(detail, headers=wait, violated_policies=[limits.RATE_POLICY])
        case "open":
            cap = parts.settings.router_open_jobs_cap
            detail = f"You have {cap} unfinished jobs, which is the most; cancel some or let them finish."
            return TooManyOpenJobs(detail, headers=wait, violated_policies=[limits.OPEN_JOBS_POLICY])
        case _:
            full = headers | limits.retry_after(limits.QUEUE_FULL_RETRY_SECONDS * 1000)
            return QueueFull("The queue holds as many jobs as it may; nothing was stored.", headers=full)


def _wait_for(parts: Services, principal: Principal, job_id: str, seconds: float) -> Job:
    """The caller's job, as soon as it is final or the time is up."""
    notes().job_id = job_id
    deadline = time.monotonic() + seconds
    pause = 0.05
    while True:
        job = _found(parts.queue.look(principal.owner, job_id))
        left = deadline - time.monotonic()
        if job.status in FINAL_STATUSES or left <= 0:
            return job
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, 0.5)


def _affordable(request: Request, seconds: int) -> float:
    """The wait, cut so that the function does not run out of time while it holds the caller."""
    context: Any = request.lambda_context
    remaining: float = context.get_remaining_time_in_millis() / 1000
    return max(0.0, min(seconds, remaining - WAIT_RESERVE_SECONDS))


def _bytes(request: Request) -> bytes:
    body = request.raw_body
    return body.encode() if isinstance(body, str) else body


def _found(job: Job | None) -> Job:
    if job is None:
        raise NotFound("You have no job with that id.")
    return job


def _probe(check: Any) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        check()
        reachable = True
    except (QueueUnavailable, SigningKeysUnavailable):
        reachable = False
    return {"ok": reachable, "latency_ms": round((time.perf_counter() - started) * 1000, 3)}


_NO_STORE: dict[str, Any] = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, _NO_STORE | {"Content-Type": "application/json"} | (headers or {}), status)
