"""API Gateway's configuration when Chalice packages the app: Cognito authorizer, scopes, CORS."""

from functools import cache
from typing import Any

from chalice.app import CognitoUserPoolAuthorizer, CORSConfig

from chalicelib.jobs.job_types import JOB_TYPES
from chalicelib.settings import Surface

EXPOSED_HEADERS = [
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-Id",
    "x-should-retry",
]
ALLOWED_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "traceparent",
    # OpenAI's client in a page sends these.
    "OpenAI-Organization",
    "OpenAI-Project",
    "X-Stainless-Arch",
    "X-Stainless-Helper-Method",
    "X-Stainless-Lang",
    "X-Stainless-OS",
    "X-Stainless-Package-Version",
    "X-Stainless-Poll-Helper",
    "X-Stainless-Retry-Count",
    "X-Stainless-Runtime",
    "X-Stainless-Runtime-Version",
    "X-Stainless-Timeout",
]
PREFLIGHT_SECONDS = 600

#: Methods of a route that reads. RFC 9110 section 9.1 requires every server to support both. The HTTP server in front
#: of the function removes the content of a response to HEAD.
READ = ["GET", "HEAD"]


def cors(surface: Surface) -> CORSConfig | None:
    """Return the CORS configuration for the one origin; None if there is no origin, or several.

    API Gateway's own preflight response is fixed, so it cannot name the origin of a request (``has_several_origins``).
    """
    return _allowing(surface.cors_origins[0]) if len(surface.cors_origins) == 1 else None


def has_several_origins(surface: Surface) -> bool:
    """Return whether there are several origins: a response may name only one (Fetch standard, "CORS check")."""
    return len(surface.cors_origins) > 1


def answer_headers(surface: Surface, origin: str | None) -> dict[str, str]:
    """Return the headers that let a page of that origin read one of the function's responses."""
    if not has_several_origins(surface):
        return fixed_headers(surface)
    vary = {"Vary": "Origin"}  # RFC 9110 section 12.5.5: a cache must not serve it to another origin
    return vary | _headers(origin) if origin in surface.cors_origins else vary


def fixed_headers(surface: Surface) -> dict[str, str]:
    """Return the same headers for the responses that API Gateway makes by itself.

    They can name only one origin. If there are several, any page may read these responses, which contain nothing of a
    caller's.
    """
    if not surface.cors_origins:
        return {}
    return _headers("*" if has_several_origins(surface) else surface.cors_origins[0])


def _headers(origin: str) -> dict[str, str]:
    return {name: str(value) for name, value in _allowing(origin).get_access_control_headers().items()}


@cache
def _allowing(origin: str) -> CORSConfig:
    """Return the configuration of one origin. The cache stays small: only origins of the setting are passed."""
    return CORSConfig(
        allow_origin=origin,
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        max_age=PREFLIGHT_SECONDS,
    )


def open_route(surface: Surface) -> dict[str, Any]:
    """Return the arguments of a route that anyone may call.

    Our code checks content types: Chalice would reject a GET that has a Content-Type.
    """
    return {"content_types": [], "cors": cors(surface)}


def guarded_route(surface: Surface) -> dict[str, Any]:
    """Return the arguments of a route behind API Gateway's Cognito authorizer.

    A REST API's authorizer accepts access tokens only on methods that name a scope; on others it expects ID tokens. A
    token with any one of the scopes passes, and our own check then requires the exact scope. Stage ``local`` has no
    pool ARN, so only our check applies there.
    """
    if not surface.user_pool_arn:
        return open_route(surface)
    scopes = [surface.scope, *sorted({kind.scope for kind in JOB_TYPES.values() if kind.scope})]
    authorizer = CognitoUserPoolAuthorizer("cognito", provider_arns=[surface.user_pool_arn], scopes=scopes)
    return open_route(surface) | {"authorizer": authorizer}
