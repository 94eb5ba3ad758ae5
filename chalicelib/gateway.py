"""What API Gateway is told when Chalice packages the app: its Cognito authorizer, its scopes, its CORS answers."""

from typing import Any

from chalice.app import CognitoUserPoolAuthorizer, CORSConfig

from chalicelib.job_types import JOB_TYPES
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
    """The CORS answers, or None when the setting is empty."""
    if not surface.cors_origin:
        return None
    return CORSConfig(
        allow_origin=surface.cors_origin,
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
