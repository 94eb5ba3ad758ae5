"""The routes that need no token: health, readiness, the OpenAPI document, and where tokens come from."""

import time
from typing import Any

from chalice.app import Blueprint, Request, Response

import chalicelib
from chalicelib import errors, wiring
from chalicelib.api import gateway, openapi, request_headers
from chalicelib.api.gateway import READ
from chalicelib.api.openapi_parts import Schema
from chalicelib.api.operations import ALWAYS, Answer, Operation, described_by
from chalicelib.api.responses import json_response
from chalicelib.errors import QueueUnavailable, SigningKeysUnavailable
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.observability import notes
from chalicelib.wiring import Services

routes = Blueprint(__name__)

_open = gateway.open_route(wiring.surface())


@routes.route("/health", methods=READ, **_open)
@described_by(
    Operation("health", "Whether the process responds", {200: Answer("The process responds.", "Health")}, ALWAYS)
)
def health() -> Response:
    """Report that the process responds, without using anything outside it."""
    version = getattr(_request().lambda_context, "function_version", "")
    return json_response({"status": "ok", "version": chalicelib.__version__, "function_version": version})


@routes.route("/ready", methods=READ, **_open)
@described_by(
    Operation(
        "ready",
        "Whether Redis and the signing keys are available, and the further clients if there may be any",
        {200: Answer("All are available.", "Readiness"), 503: Answer("At least one is not.", "Readiness")},
        ALWAYS,
    )
)
def ready() -> Response:
    """Report whether Redis and the signing keys are available, and the clients of ``COGNITO_AUD_PARAMETER``."""
    _request()
    parts = wiring.services()
    report = {"redis": _redis_probe(parts.queue), "jwks": _probe(lambda: parts.keys.key(""))}
    if parts.settings.cognito_aud_parameter:
        report["clients"] = _probe(parts.clients.require)
    return json_response(report, 200 if all(part["ok"] for part in report.values()) else 503)


@routes.route("/openapi.json", methods=READ, **_open)
@described_by(Operation("openapi", "The OpenAPI document", {200: Answer("OpenAPI 3.1.", "Document")}, ALWAYS))
def openapi_document() -> Response:
    """Return the OpenAPI document of this deployment."""
    request = _request()
    # The document's path without its last segment.
    base = request.context["path"].rstrip("/").rpartition("/")[0] or "/"
    return json_response(_document(wiring.services()) | {"servers": [{"url": base}]})


@routes.route("/.well-known/oauth-protected-resource", methods=READ, **_open)
@described_by(
    Operation(
        "protectedResource",
        "Where tokens for this API come from",
        {200: Answer("RFC 9728.", "ProtectedResource")},
        (*ALWAYS, errors.MalformedRequest),
    )
)
def protected_resource() -> Response:
    """Return the protected resource metadata of this deployment (RFC 9728)."""
    from chalicelib.callers import protected_resource  # deferred: a cold start does not need it

    request, services = _request(), wiring.services()
    base = protected_resource.base_url(request.context, request.headers.get("host"), request.path)
    scopes = {kind.scope for kind in services.job_types.values() if kind.scope}
    body = protected_resource.metadata(base, services.settings, scopes)
    return json_response(body, headers={"Cache-Control": protected_resource.CACHE_CONTROL})


class _Built:
    """The document as it was built for these services. That takes 27 ms of CPU, and anybody may ask for it."""

    services: Services | None = None
    document: Schema


def _document(services: Services) -> Schema:
    if _Built.services is not services:
        settings, views = services.settings, routes.current_app.routes
        _Built.document = openapi.document(
            views, services.job_types, settings.router_scope, body_limits=settings.body_limits
        )
        _Built.services = services
    return _Built.document


def _request() -> Request:
    return request_headers.acceptable(routes.current_request)


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
        notes().reason = problem.reason
    return {"ok": reachable, "latency_ms": round((time.perf_counter() - started) * 1000, 3)}
