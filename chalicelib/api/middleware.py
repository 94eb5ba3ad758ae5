"""Middleware for every response: log line and metrics outside, problem+json inside."""

import itertools
import re
import time
import uuid
from collections.abc import Callable, Container, Iterator
from typing import TYPE_CHECKING, cast

from chalice.app import Request, Response

from chalicelib import errors, wiring
from chalicelib.api import gateway
from chalicelib.api.responses import NO_STORE, OPENAI_PATHS, json_response
from chalicelib.errors import PROBLEM_CONTENT_TYPE, Problem
from chalicelib.observability import RequestRecord, begin_notes, log, log_request, notes
from chalicelib.settings import Surface
from lambda_router_queue import deadlines

if TYPE_CHECKING:
    from chalicelib.api.streamed import Pieces

type NextHandler = Callable[[Request], Response]

_requests = itertools.count()

#: RFC 9110 section 9.1 and RFC 5789. Any other method is logged as ``other``.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def request_log(routes: Container[str]) -> Callable[[Request, NextHandler], Response]:
    """Outermost: add the request id to every response, and log it; one that is streamed once its body is over."""

    def write_line(request: Request, next_handler: NextHandler) -> Response:
        cold_start = next(_requests) == 0
        learnt = begin_notes()
        its_id = request_id(request)
        log.thread_safe_append_keys(request_id=its_id)
        started = time.perf_counter()
        with deadlines.within(deadlines.REQUEST_SECONDS):
            response = next_handler(request)
        response.headers["X-Request-Id"] = its_id

        def log_it() -> None:
            latency_ms = round((time.perf_counter() - started) * 1000, 3)
            method = request.method if request.method in _METHODS else "other"
            route = request.path if request.path in routes else "unknown"
            record = RequestRecord(its_id, method, route, response.status_code, latency_ms, cold_start)
            log_request(record, learnt, wiring.stack())

        if isinstance(response.body, Iterator):
            from chalicelib.api.streamed import LoggedPieces  # deferred: not at a cold start

            response.body = LoggedPieces(cast("Pieces", response.body), log_it)
        else:
            log_it()
        return response

    return write_line


def readable_by_pages(surface: Surface) -> Callable[[Request, NextHandler], Response]:
    """Let pages of the origins in ``ROUTER_CORS_ORIGIN`` read every response, including errors.

    Chalice itself adds its headers only to the responses of routes, and can name only one fixed origin.
    """

    def add_headers(request: Request, next_handler: NextHandler) -> Response:
        response = next_handler(request)
        headers = gateway.answer_headers(surface, request.headers.get("origin"))
        if "Vary" in headers and "Vary" in response.headers:  # that of the pages
            response.headers["Vary"] = f"{response.headers['Vary']}, {headers['Vary']}"
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        return response

    return add_headers


def problem_details(request: Request, next_handler: NextHandler) -> Response:
    """Turn our problems, Chalice's own errors and unexpected exceptions into problem+json (RFC 9457)."""
    try:
        response = next_handler(request)
    except Problem as problem:
        return _answer(problem, request)
    except Exception:
        log.exception("unforeseen")
        return _answer(errors.InternalError(), request)
    refused = _chalice_error(response)
    return response if refused is None else _answer(refused, request)


def known_routes(routes: Container[str]) -> Callable[[Request, NextHandler], Response]:
    """Innermost: respond with 404 to a path that this build does not have, where Chalice would raise KeyError."""

    def check(request: Request, next_handler: NextHandler) -> Response:
        if request.path not in routes:
            raise errors.NotFound("There is no such route; GET /openapi.json lists them.")
        return next_handler(request)

    return check


def request_id(request: Request) -> str:
    """Return API Gateway's id of the request, or else Lambda's or a new one.

    A caller can choose API Gateway's id (API Gateway Developer Guide, "Variables for access logging"), so it is
    accepted only in the format that API Gateway itself uses.
    """
    known: str | None = request.context.get("requestId")
    if known is None or not _UUID.fullmatch(known):
        known = getattr(request.lambda_context, "aws_request_id", None) or str(uuid.uuid4())
        request.context["requestId"] = known
    return known


def _answer(problem: Problem, request: Request) -> Response:
    learnt = notes()
    learnt.problem = problem.slug()
    learnt.reason = problem.reason
    if isinstance(problem, errors.Unauthenticated):
        from chalicelib.callers import protected_resource  # deferred: not at a cold start

        base = protected_resource.base_url(request.context, request.headers.get("host"), request.path)
        problem.headers["WWW-Authenticate"] += protected_resource.pointer(base)
    if request.path.startswith(OPENAI_PATHS):
        from chalicelib.openai.openai_errors import openai_error  # deferred: not at a cold start

        body, headers = openai_error(problem, request_id(request))
        return json_response(body, problem.status, headers)
    content_type = {"Content-Type": PROBLEM_CONTENT_TYPE}
    return Response(problem.to_dict(request_id(request)), NO_STORE | content_type | problem.headers, problem.status)


_BY_STATUS: dict[int, Callable[..., Problem]] = {
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    415: errors.UnsupportedMediaType,
}


def _chalice_error(response: Response) -> Problem | None:
    """Return the problem for a response that Chalice made itself, ``{"Code", "Message"}``; None for one of ours."""
    if not isinstance(response.body, dict) or response.body.keys() != {"Code", "Message"}:
        return None
    if response.status_code < 500 and response.status_code not in _BY_STATUS:
        return errors.MalformedRequest(str(response.body["Message"]))
    kind = _BY_STATUS.get(response.status_code, errors.InternalError)
    allow = str(response.headers.get("Allow", ""))
    return kind(f"Use one of: {allow}.", headers={"Allow": allow}) if allow else kind()
