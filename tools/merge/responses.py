"""The responses that API Gateway creates itself, as problem+json with the statuses of docs/contract.md.

There is one entry for every type in the developer guide (supported-gateway-response-types). The templates are Velocity,
whose ``$context`` Terraform leaves alone. ``error.messageString`` is not used, because for some errors API Gateway puts
the caller's token into it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from chalicelib import errors
from chalicelib.api import gateway
from chalicelib.errors import PROBLEM_CONTENT_TYPE, Problem
from chalicelib.openai.openai_errors import error_type, openai_error
from chalicelib.settings import Surface
from tools.merge.openapi import scopes_of
from tools.merge.shape import Json
from tools.stack.refusal import Refusal

#: The member of a body in which API Gateway looks for them.
RESPONSES = "x-amazon-apigateway-gateway-responses"
_REQUEST_ID = "$context.requestId"
_HEADER = "gatewayresponse.header."


def gateway_responses(body: Json, cors_origin: str) -> Json:
    """Return the value of ``RESPONSES`` for an API with this OpenAPI body and this CORS setting.

    Raises:
        Refusal: the origin cannot be written into a header.
    """
    if "'" in cors_origin:
        raise Refusal(f"ROUTER_CORS_ORIGIN is {cors_origin!r}: an origin cannot contain an apostrophe")
    headers = gateway.fixed_headers(Surface("", "", cors_origin))
    answers = {
        kind: {"statusCode": str(answer.status)} | _written(answer.members, headers | dict(answer.headers))
        for kind, answer in _answers(scopes_of(body)).items()
    }
    for kind, title in _FALLBACKS.items():
        members = {"type": "about:blank", "title": title, "instance": _REQUEST_ID}
        answers[kind] = _written(_error(title, 400 if kind == "DEFAULT_4XX" else 500) | members, headers)
    return answers


#: Types that API Gateway may add later. They keep their status: a status here would apply to every other type.
_FALLBACKS = {"DEFAULT_4XX": "Request refused", "DEFAULT_5XX": "Request failed"}


@dataclass(frozen=True)
class _Answer:
    """A status, with the members of its problem and its headers."""

    status: int
    members: Json
    headers: Mapping[str, str] = field(default_factory=dict)


def _ours(problem: Problem) -> _Answer:
    return _Answer(problem.status, openai_error(problem, _REQUEST_ID)[0], problem.headers)


def _plain(status: HTTPStatus, **members: str) -> _Answer:
    """Return a problem that says no more than its status (RFC 9457, section 4.2.1)."""
    title = {"type": "about:blank", "title": status.phrase, "status": int(status)}
    return _Answer(int(status), _error(status.phrase, int(status)) | title | members | {"instance": _REQUEST_ID})


def _error(title: str, status: int) -> Json:
    """Return the member that OpenAI's clients read. A template cannot tell their paths from the others."""
    code = title.lower().replace(" ", "_")
    return {"error": {"message": title, "type": error_type(status), "param": None, "code": code}}


def _answers(scopes: list[str]) -> dict[str, _Answer]:
    forbidden = _plain(HTTPStatus.FORBIDDEN)
    unknown_route = _ours(errors.NotFound("There is no such route; GET /openapi.json lists them."))
    late = "It is unknown whether the request took effect: repeat it, a POST with the same Idempotency-Key."
    retry = {"Retry-After": "1"}
    return {
        "ACCESS_DENIED": _ours(errors.InsufficientScope(scopes[0])) if scopes else forbidden,
        "API_CONFIGURATION_ERROR": _ours(errors.Misconfigured()),
        "AUTHORIZER_CONFIGURATION_ERROR": _ours(errors.Misconfigured()),
        "AUTHORIZER_FAILURE": _ours(errors.InternalError()),
        "BAD_REQUEST_BODY": _ours(errors.MalformedRequest()),
        "BAD_REQUEST_PARAMETERS": _ours(errors.MalformedRequest()),
        # No method uses AWS signatures. So only a request without a matching method gets as far as having its
        # Authorization header parsed as one.
        "EXPIRED_TOKEN": unknown_route,
        "INVALID_SIGNATURE": unknown_route,
        "MISSING_AUTHENTICATION_TOKEN": unknown_route,
        "RESOURCE_NOT_FOUND": unknown_route,
        "INTEGRATION_FAILURE": _plain(HTTPStatus.GATEWAY_TIMEOUT, detail=late),
        "INTEGRATION_TIMEOUT": _plain(HTTPStatus.GATEWAY_TIMEOUT, detail=late),
        "INVALID_API_KEY": forbidden,
        "QUOTA_EXCEEDED": _ours(errors.RateLimited("You have reached your quota of requests.", headers=retry)),
        "REQUEST_TOO_LARGE": _ours(errors.PayloadTooLarge()),
        "THROTTLED": _ours(errors.RateLimited("The API receives too many requests; retry later.", headers=retry)),
        "UNAUTHORIZED": _ours(errors.Unauthenticated("gateway")),
        "UNSUPPORTED_MEDIA_TYPE": _ours(errors.UnsupportedMediaType()),
        "WAF_FILTERED": forbidden,
    }


def _written(members: Json, headers: Mapping[str, str]) -> Json:
    """Return one template, which API Gateway uses for every Accept, and a header that states what it is."""
    fixed = {
        "Content-Type": PROBLEM_CONTENT_TYPE,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    parameters = {_HEADER + name: f"'{value}'" for name, value in (fixed | dict(headers)).items()}
    return {
        "responseParameters": parameters | {f"{_HEADER}X-Request-Id": "context.requestId"},
        "responseTemplates": {"application/json": json.dumps(members)},
    }
