"""The routes that need no token: health, readiness, the OpenAPI document, where tokens come from, and the pages."""

import time
from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint, Chalice, Request, Response

import chalicelib
from chalicelib import errors, wiring
from chalicelib.api import gateway, openapi, request_headers
from chalicelib.api.gateway import READ
from chalicelib.api.openapi_parts import Schema
from chalicelib.api.operations import ALWAYS, Answer, Operation, described_by
from chalicelib.api.responses import NO_STORE, json_response
from chalicelib.errors import NotFound, QueueUnavailable, SigningKeysUnavailable
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.observability import notes
from chalicelib.settings import Surface
from chalicelib.wiring import Services

if TYPE_CHECKING:
    from chalicelib.pages.content import Content

routes = Blueprint(__name__)

_open = gateway.open_route(wiring.surface())


@routes.route("/health", methods=READ, **_open)
@described_by(
    Operation("health", "Liveness: the process responds", {200: Answer("The process responds.", "Health")}, ALWAYS)
)
def health() -> Response:
    """Report that the process responds, without using anything outside it."""
    version = getattr(_request().lambda_context, "function_version", "")
    return json_response({"status": "ok", "version": chalicelib.__version__, "function_version": version})


@routes.route("/ready", methods=READ, **_open)
@described_by(
    Operation(
        "ready",
        "Readiness: Redis, the signing keys, and the further clients if there may be any",
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


def serve_pages(app: Chalice, surface: Surface) -> None:
    """Give the app its pages, if ``ROUTER_DOCS`` wants them. They are not in the OpenAPI document.

    No page of another origin calls them, so they answer no preflight.
    """
    if surface.has_pages:
        for path in ("/", "/docs", "/docs/oauth2-redirect"):
            app.route(path, methods=READ, content_types=[])(page)
        app.route("/pages/{name}", methods=READ, content_types=[])(page_file)


def page() -> Response:
    """Return the page of this path."""
    from chalicelib.callers import protected_resource  # deferred: a cold start does not need it
    from chalicelib.pages import content

    request, services = routes.current_request, wiring.services()
    prefix = protected_resource.path_prefix(request.context["path"], request.path)
    if prefix is None:
        raise NotFound("The address of the API cannot be told from this path.")
    found = content.page(request.path, f"{prefix}/", services.settings, services.clients)
    if request.query_params:  # the code of a sign-in: no cache keeps the address that it is in
        found.headers.update(NO_STORE)
    return _cached(found)


def page_file(name: str) -> Response:
    """Return a file of the pages."""
    from chalicelib.pages import content  # deferred: a cold start does not need it

    return _cached(content.file(name))


def _cached(content: "Content") -> Response:
    """Return the content, or 304 if the caller has it."""
    headers: dict[str, Any] = {**content.headers}
    condition = ", ".join(request_headers.header_values(routes.current_request, "if-none-match")) or None
    if request_headers.etag_matches(condition, content.headers["ETag"]):
        return Response("", {name: value for name, value in headers.items() if name != "Content-Type"}, 304)
    return Response(content.body, headers)


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
