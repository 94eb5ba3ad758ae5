"""What API Gateway is told when Chalice packages the app: its Cognito authorizer, its scopes, its CORS answers."""

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
]
ALLOWED_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Prefer",
    "traceparent",
]
PREFLIGHT_SECONDS = 600


def cors(surface: Surface) -> CORSConfig | None:
    """What Chalice and API Gateway answer the pages of the one origin; None where there is none, or several.

    API Gateway's own preflight is a fixed answer, which cannot name the origin that asks: see ``names_the_asking``.
    """
    return _allowing(surface.cors_origins[0]) if len(surface.cors_origins) == 1 else None


def names_the_asking(surface: Surface) -> bool:
    """Whether there are several origins, of which each answer may name one only (Fetch standard, "CORS check")."""
    return len(surface.cors_origins) > 1


def answer_headers(surface: Surface, origin: str | None) -> dict[str, str]:
    """What lets a page of that origin read an answer of the function's."""
    if not names_the_asking(surface):
        return fixed_headers(surface)
    vary = {"Vary": "Origin"}  # RFC 9110 section 12.5.5: a cache must not give it to another origin
    return vary | _headers(origin) if origin in surface.cors_origins else vary


def fixed_headers(surface: Surface) -> dict[str, str]:
    """The same for what API Gateway answers by itself. It can name one origin only, so where there are several, any
    page may read its refusals: they hold nothing of a caller's."""
    if not surface.cors_origins:
        return {}
    return _headers("*" if names_the_asking(surface) else surface.cors_origins[0])


def _headers(origin: str) -> dict[str, str]:
    return {name: str(value) for name, value in _allowing(origin).get_access_control_headers().items()}


@cache
def _allowing(origin: str) -> CORSConfig:
    """For origins of the setting only, of which there are few."""
    return CORSConfig(
        allow_origin=origin,
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        max_age=PREFLIGHT_SECONDS,
    )


def open_route(surface: Surface) -> dict[str, Any]:
    """Arguments of a route that anyone may call.

    Content types are ours to check: Chalice would refuse a GET that carries a Content-Type.
    """
    return {"content_types": [], "cors": cors(surface)}


def guarded_route(surface: Surface) -> dict[str, Any]:
    """Arguments of a route behind API Gateway's Cognito authorizer.

    A REST API's authorizer takes access tokens only on methods that name a scope (it wants ID tokens otherwise), and
    lets a token pass that has any one of them; our own check asks for the very scope. Stage ``local`` has no pool ARN:
    there our check stands alone.
    """
    if not surface.user_pool_arn:
        return open_route(surface)
    scopes = [surface.scope, *sorted({kind.scope for kind in JOB_TYPES.values() if kind.scope})]
    authorizer = CognitoUserPoolAuthorizer("cognito", provider_arns=[surface.user_pool_arn], scopes=scopes)
    return open_route(surface) | {"authorizer": authorizer}
