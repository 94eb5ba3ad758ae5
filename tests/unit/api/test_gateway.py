"""chalicelib.api.gateway: what API Gateway is told when Chalice packages the app."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from chalice.app import Response

from chalicelib.api import gateway
from chalicelib.api.middleware import readable_by_pages
from chalicelib.settings import Surface
from tests.contract.repository import ROOT

ARN = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_TestPool1"
CLOSED = Surface(user_pool_arn=ARN, scope="lambda-router/jobs", cors_origin="")
LOCAL = Surface(user_pool_arn="", scope="lambda-router/jobs", cors_origin="")
BROWSER = Surface(user_pool_arn=ARN, scope="s", cors_origin="https://app.example.com")
BROWSERS = Surface(user_pool_arn=ARN, scope="s", cors_origin="https://app.example.com, https://admin.example.com")

#: Packages nothing, but imports the app as Chalice does, and prints what its routes ask API Gateway for.
DESCRIBE = """
import json
from app import app
print(json.dumps({
    f"{method} {path}": {
        "authorizer": entry.authorizer.to_swagger() if entry.authorizer else None,
        "scopes": entry.authorizer.scopes if entry.authorizer else None,
        "cors": entry.cors.get_access_control_headers() if entry.cors else None,
        "content_types": entry.content_types,
    }
    for path, methods in app.routes.items() for method, entry in methods.items()
}))
"""
OPEN_PATHS = ("/health", "/ready", "/openapi.json", "/.well-known/oauth-protected-resource")
OPEN = {f"{method} {path}" for method in ("GET", "HEAD") for path in OPEN_PATHS}


def routes(**environ: str) -> dict[str, Any]:
    """The app's routes in a fresh process with these variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("COGNITO_", "ROUTER_"))}  # noqa: TID251
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE],
        env=inherited | environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    described: dict[str, Any] = json.loads(done.stdout)
    return described


def test_a_pool_puts_an_authorizer_with_a_scope_before_guarded_routes():
    """Without a scope, a REST API's authorizer would want ID tokens."""
    authorizer = gateway.guarded_route(CLOSED)["authorizer"]
    assert authorizer.scopes == ["lambda-router/jobs"]
    assert authorizer.to_swagger()["x-amazon-apigateway-authorizer"]["providerARNs"] == [ARN]


def test_without_a_pool_there_is_no_authorizer():
    assert "authorizer" not in gateway.guarded_route(LOCAL)
    assert gateway.guarded_route(LOCAL) == gateway.open_route(LOCAL)


def test_an_open_route_has_no_authorizer_even_with_a_pool():
    assert "authorizer" not in gateway.open_route(CLOSED)


def test_content_types_are_left_to_our_own_code():
    assert gateway.open_route(CLOSED)["content_types"] == gateway.guarded_route(CLOSED)["content_types"] == []


def test_without_an_origin_there_is_no_cors():
    assert gateway.cors(CLOSED) is None
    assert gateway.open_route(CLOSED)["cors"] is None


def test_an_origin_may_send_what_the_api_reads_and_see_what_it_says():
    cors = gateway.cors(BROWSER)
    assert cors is not None
    headers = cors.get_access_control_headers()
    assert headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert headers["Access-Control-Max-Age"] == "600"
    allowed = set(headers["Access-Control-Allow-Headers"].split(","))
    assert {
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-None-Match",
        "Last-Event-ID",
        "Prefer",
        "traceparent",
    } <= allowed
    exposed = set(headers["Access-Control-Expose-Headers"].split(","))
    assert exposed == {
        "ETag",
        "Idempotency-Replayed",
        "Location",
        "Preference-Applied",
        "RateLimit",
        "RateLimit-Policy",
        "Retry-After",
        "X-Request-Id",
        "x-should-retry",
    }
    assert "Access-Control-Allow-Credentials" not in headers


def test_of_several_origins_each_answer_names_the_one_that_asks():
    for origin in ("https://app.example.com", "https://admin.example.com"):
        headers = gateway.answer_headers(BROWSERS, origin)
        assert (headers["Access-Control-Allow-Origin"], headers["Vary"]) == (origin, "Origin")
        assert headers.keys() == gateway.answer_headers(BROWSER, origin).keys() | {"Vary"}


@pytest.mark.parametrize("origin", [None, "", "*", "null", "https://evil.example.com", "https://APP.example.com"])
def test_of_several_origins_no_other_is_named(origin: str | None):
    assert gateway.answer_headers(BROWSERS, origin) == {"Vary": "Origin"}


@pytest.mark.parametrize(
    ("given", "wanted"), [({}, "Origin"), ({"Vary": "Accept-Encoding"}, "Accept-Encoding, Origin")]
)
def test_a_cache_keeps_an_answer_for_its_origin_whatever_else_it_varies_by(given: dict[str, str], wanted: str):
    request: Any = SimpleNamespace(headers={"origin": "https://app.example.com"})

    answer = readable_by_pages(BROWSERS)(request, lambda _: Response("", dict(given)))

    assert answer.headers["Vary"] == wanted
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"


def test_one_origin_is_named_whoever_asks():
    assert gateway.answer_headers(BROWSER, "https://evil.example.com") == gateway.fixed_headers(BROWSER)
    assert gateway.answer_headers(CLOSED, "https://app.example.com") == {}


def test_what_the_gateway_itself_answers_names_the_one_origin_or_all():
    assert gateway.fixed_headers(BROWSER)["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert gateway.fixed_headers(BROWSERS)["Access-Control-Allow-Origin"] == "*"
    assert gateway.fixed_headers(CLOSED) == {}


def test_with_several_origins_the_function_answers_the_preflight_of_every_path_to_anyone():
    described = routes(COGNITO_USER_POOL_ARN=ARN, ROUTER_CORS_ORIGIN="https://a.example, https://b.example")
    preflights = {name: route for name, route in described.items() if name.startswith("OPTIONS ")}

    assert {name.split()[1] for name in preflights} == {name.split()[1] for name in described}
    assert {route["authorizer"] for route in preflights.values()} == {None}
    assert {route["cors"] for route in described.values()} == {None}  # Chalice would name one


@pytest.fixture(scope="module")
def packaged() -> dict[str, Any]:
    return routes(COGNITO_USER_POOL_ARN=ARN, ROUTER_SCOPE="other/scope", ROUTER_CORS_ORIGIN="*")


def test_every_route_but_the_open_ones_is_guarded(packaged: dict[str, Any]):
    assert {name for name, route in packaged.items() if route["authorizer"] is None} == OPEN
    assert {tuple(route["scopes"]) for route in packaged.values() if route["authorizer"]} == {("other/scope",)}


def test_every_route_answers_the_origin(packaged: dict[str, Any]):
    assert {route["cors"]["Access-Control-Allow-Origin"] for route in packaged.values()} == {"*"}


def test_stage_local_needs_no_variables_at_all():
    described = routes()
    assert described.keys() >= OPEN
    assert {route["authorizer"] for route in described.values()} == {None}
    assert {route["cors"] for route in described.values()} == {None}


def test_an_empty_variable_counts_as_unset():
    described = routes(COGNITO_USER_POOL_ARN="", ROUTER_SCOPE="", ROUTER_CORS_ORIGIN="")
    assert {route["authorizer"] for route in described.values()} == {None}
