"""API Gateway as far as this machine needs it: turn an HTTP request into the event of a Lambda proxy integration.

Built on ``chalice.local``, with its harmful differences from API Gateway corrected. ``chalice.local`` alone answers an
unknown route with 403 and the caller's own token, drops repeated headers and gives the request no id. It also leaves
path parameters percent-encoded, and lets ``;`` and empty segments through to a route.
"""

import base64
import gzip
import re
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from chalice.app import Chalice
from chalice.config import Config
from chalice.local import LambdaContext, LocalChalice, LocalGateway, RouteMatcher

from chalicelib.api.responses import OPENAI_PATHS
from chalicelib.observability import log
from tools.local.ports import HOST
from tools.local.problems import Answer, Headers, problem_answer

#: API Gateway waits no longer than this for Lambda, so Terraform gives the function no longer.
LAMBDA_TIMEOUT_SECONDS = 29
#: The same for responses that are streamed.
STREAMING_TIMEOUT_SECONDS = 900
#: An API with the pages compresses responses of this size, as terraform/chalice_override.tf says.
COMPRESSED_FROM_BYTES = 1024
_GZIP = re.compile(r"\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*$).*)?", re.IGNORECASE)


@dataclass(frozen=True)
class HttpRequest:
    """An HTTP request, with its headers in their original order and number."""

    method: str
    target: str
    headers: Headers
    body: bytes


class StreamingContext(LambdaContext):
    """The context of the streaming function, as ``chalicelib/streaming`` makes it in Lambda."""

    streams_responses = True


class Gateway(LocalGateway):
    """A gateway that answers HTTP requests through the app's Lambda entry point."""

    def __init__(self, app: Chalice, timeout_seconds: float = LAMBDA_TIMEOUT_SECONDS) -> None:
        # In Lambda a process handles one request at a time; here each thread needs its own `current_request`.
        app.__class__ = LocalChalice
        super().__init__(
            app, Config.create(app_name=app.app_name, chalice_stage="local", lambda_timeout=timeout_seconds)
        )
        self._routes = RouteMatcher(list(app.routes))
        self._compresses = "/docs" in app.routes

    def answer(self, request: HttpRequest) -> Answer:
        """Return the app's response, or 404 for an unknown route. Never raises."""
        try:
            event = lambda_event(self._routes, request)
        except LookupError:
            return problem_answer(HTTPStatus.NOT_FOUND, "There is no such route; GET /openapi.json lists them.")
        try:
            return self._compressed(request, self._invoke(event))
        except Exception:
            log.exception("unforeseen")
            return problem_answer(HTTPStatus.INTERNAL_SERVER_ERROR)

    def _invoke(self, event: dict[str, Any]) -> Answer:
        methods = self._app_object.routes[event["resource"]]
        has_preflight = "OPTIONS" not in methods and any(route.cors is not None for route in methods.values())
        if event["httpMethod"] == "OPTIONS" and has_preflight:
            request_id = event["requestContext"]["requestId"]
            return Answer(200, [*self._autogen_options_headers(event).items(), ("X-Request-Id", request_id)], b"")
        raw = self._app_object(event, self._context(event["path"]))
        repeated = [(name, value) for name, values in raw["multiValueHeaders"].items() for value in values]
        body = raw["body"].encode() if isinstance(raw["body"], str) else raw["body"]
        if raw.get("isBase64Encoded"):
            body = base64.b64decode(body)
        return Answer(raw["statusCode"], [*raw["headers"].items(), *repeated], body)

    def _compressed(self, request: HttpRequest, answer: Answer) -> Answer:
        """Return the response, compressed if API Gateway would do that.

        It never compresses what is streamed. In Lambda that is the OpenAI API, and here each response in pieces.
        """
        wishes = [
            wish for name, value in request.headers if name.lower() == "accept-encoding" for wish in value.split(",")
        ]
        if (
            not self._compresses
            or request.target.startswith(OPENAI_PATHS)
            or not isinstance(answer.body, bytes)
            or len(answer.body) < COMPRESSED_FROM_BYTES
            or not any(_GZIP.fullmatch(wish) for wish in wishes)
        ):
            return answer
        return Answer(
            answer.status, [*answer.headers, ("Content-Encoding", "gzip")], gzip.compress(answer.body, mtime=0)
        )

    def _context(self, path: str) -> LambdaContext:
        """Return the context of the function that has this path: in Lambda there are two."""
        if not path.startswith(OPENAI_PATHS):
            return self._generate_lambda_context()
        name, megabytes = self._config.function_name, self._config.lambda_memory_size
        return StreamingContext(name, megabytes, STREAMING_TIMEOUT_SECONDS * 1000)


def lambda_event(routes: RouteMatcher, request: HttpRequest) -> dict[str, Any]:
    """Return API Gateway's event for a Lambda proxy integration of a REST API, payload format 1.0.

    Raises:
        LookupError: no route has that path.
    """
    resource, path_parameters, query = _match(routes, request.target)
    path = urlsplit(request.target).path
    many = defaultdict(list)
    for name, value in request.headers:
        many[name.lower()].append(value)
    return {
        "resource": resource,
        "path": path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in many.items()},
        "multiValueHeaders": dict(many),
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": path_parameters or None,
        "stageVariables": None,
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "requestTimeEpoch": round(time.time() * 1000),
            "resourcePath": resource,
            "httpMethod": request.method,
            "path": path,
            "stage": "local",
            "domainName": many["host"][-1] if "host" in many else HOST,
            "identity": {"sourceIp": "127.0.0.1"},
        },
        "body": base64.b64encode(request.body).decode() if request.body else None,
        "isBase64Encoded": bool(request.body),
    }


def _match(routes: RouteMatcher, target: str) -> tuple[str, dict[str, str], dict[str, list[str]]]:
    """Return the route, its decoded path parameters, and the query; a ``;`` would truncate the path in the matcher."""
    if target.startswith("//"):  # the matcher would take what follows for a host, and find the route "/"
        raise LookupError(target)
    try:
        match = routes.match_route(target.replace(";", "%3B"))
    except ValueError:
        raise LookupError(target) from None
    segments = [name[1:-1] for name in match.route.split("/") if name.startswith("{")]
    parameters = {name: unquote(match.captured[name]) for name in segments}
    if not all(parameters.values()):
        raise LookupError(target)
    return match.route, parameters, match.query_params
