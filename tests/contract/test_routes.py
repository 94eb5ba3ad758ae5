"""The routes that API Gateway is told of, and how each is guarded."""

import json
from typing import Any

import pytest

import app as app_module
from chalicelib.api import openapi
from chalicelib.jobs.job_types import JOB_TYPES
from tests.contract.repository import fresh_python

ARN = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEf123"
SCOPE = "lambda-router/jobs"
OPEN_PATHS = ("/health", "/ready", "/openapi.json", "/.well-known/oauth-protected-resource")
OPEN = {f"{method} {path}" for method in ("GET", "HEAD") for path in OPEN_PATHS}
PAGES = {
    f"{method} {path}"
    for method in ("GET", "HEAD")
    for path in ("/", "/docs", "/docs/oauth2-redirect", "/pages/{name}")
}
#: API Gateway answers these by itself.
RESERVED = {"/ping", "/sping"}

_PROGRAM = """
import app, json
print(json.dumps({
    f"{method} {path}": {
        "authorizer": route.authorizer and route.authorizer.to_swagger(),
        "scopes": route.authorizer.scopes if route.authorizer else [],
        "cors": bool(route.cors),
    }
    for path, methods in app.app.routes.items() for method, route in methods.items()
}))
"""


def app_routes(**variables: str) -> dict[str, Any]:
    """The routes as a fresh process sees them: they are decided when ``app.py`` is imported."""
    found: dict[str, Any] = json.loads(fresh_python(_PROGRAM, **variables).splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def deployed() -> dict[str, Any]:
    return app_routes(COGNITO_USER_POOL_ARN=ARN)


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    document = openapi.document(app_module.app.routes, JOB_TYPES, SCOPE)
    return {
        f"{method.upper()} {path}": operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method != "parameters"
    }


def test_no_route_is_one_that_the_gateway_keeps_for_itself(deployed: dict[str, Any]) -> None:
    assert {route.split()[1] for route in deployed} & RESERVED == set()


def test_every_route_under_v1_has_the_authorizer_with_the_scope(deployed: dict[str, Any]) -> None:
    guarded = {name: route for name, route in deployed.items() if name not in OPEN}

    assert {"POST /v1/jobs", "POST /v1/jobs/batch", "GET /v1/jobs/{job_id}"} <= guarded.keys()
    for name, route in guarded.items():
        assert name.split()[1].startswith("/v1/")
        assert route["authorizer"]["x-amazon-apigateway-authorizer"]["providerARNs"] == [ARN]
        # Without a scope API Gateway would take ID tokens, and access tokens not at all.
        assert route["scopes"] == [SCOPE], name


def test_the_scope_is_the_settings() -> None:
    routes = app_routes(COGNITO_USER_POOL_ARN=ARN, ROUTER_SCOPE="${var.router_scope}")

    assert routes["POST /v1/jobs"]["scopes"] == ["${var.router_scope}"]


def test_open_routes_have_no_authorizer(deployed: dict[str, Any]) -> None:
    assert {name for name, route in deployed.items() if route["authorizer"] is None} == OPEN


def test_the_pages_are_open_and_nothing_else_is(deployed: dict[str, Any]) -> None:
    with_pages = app_routes(COGNITO_USER_POOL_ARN=ARN, ROUTER_DOCS="true")

    assert with_pages.keys() - deployed.keys() == PAGES
    assert {name for name, route in with_pages.items() if route["authorizer"] is None} == OPEN | PAGES


@pytest.mark.parametrize("value", ["", "false", "True", "1", "${var.router_docs}"])
def test_there_are_no_pages_unless_they_are_asked_for(deployed: dict[str, Any], value: str) -> None:
    assert app_routes(COGNITO_USER_POOL_ARN=ARN, ROUTER_DOCS=value).keys() == deployed.keys()


@pytest.mark.parametrize(("value", "has_pages"), [({}, True), ({"ROUTER_DOCS": "false"}, False)], ids=["unset", "off"])
def test_stage_local_has_the_pages_unless_they_are_off(value: dict[str, str], has_pages: bool) -> None:
    assert PAGES.issubset(app_routes(LAMBDA_ROUTER_ENV_FILE="no-such-file", **value)) == has_pages


@pytest.mark.parametrize("origins", ["https://app.example.com", "https://a.example,https://b.example"])
def test_pages_of_other_origins_have_no_business_with_ours(origins: str) -> None:
    routes = app_routes(ROUTER_CORS_ORIGIN=origins, ROUTER_DOCS="true")

    assert {name: routes[name]["cors"] for name in PAGES} == dict.fromkeys(PAGES, False)
    assert "OPTIONS /docs" not in routes


def test_without_a_pool_no_route_has_an_authorizer() -> None:
    # `chalice local` imitates it without checking anything; our own check stands alone there.
    assert [name for name, route in app_routes().items() if route["authorizer"]] == []


def test_cors_is_on_everywhere_or_nowhere(deployed: dict[str, Any]) -> None:
    assert {route["cors"] for route in deployed.values()} == {False}
    assert {route["cors"] for route in app_routes(ROUTER_CORS_ORIGIN="https://app.example.com").values()} == {True}


def test_the_openapi_document_has_exactly_the_apps_routes(deployed: dict[str, Any], documented: dict[str, Any]) -> None:
    assert documented.keys() == deployed.keys()


def test_the_openapi_document_guards_what_the_gateway_guards(
    deployed: dict[str, Any], documented: dict[str, Any]
) -> None:
    assert {name for name, operation in documented.items() if not operation.get("security")} == OPEN


def test_operations_have_names_of_their_own(documented: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in documented.values()]

    assert len(set(names)) == len(names)
