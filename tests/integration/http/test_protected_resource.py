"""The API says where its tokens come from: RFC 9728, from the address that the caller used."""

import json
import socket
from typing import Any

import pytest

import app as app_module
from tests.conftest import ISSUER, LambdaContext, MakeToken, Router, gateway_event
from tests.integration.conftest import BuildRouter

PATH = "/.well-known/oauth-protected-resource"
OWN = "abc123.execute-api.eu-central-1.amazonaws.com"
LOGIN = "2h68lg6dqr28n1fnm23EXAMPLE"

WAYS = {
    "stage": ({"domainName": OWN, "stage": "/api"}, f"https://{OWN}/api"),
    "own domain": ({"domainName": "router.example.com"}, "https://router.example.com"),
    "base path": ({"domainName": "example.com", "base_path": "/router"}, "https://example.com/router"),
    "base path like a route": ({"domainName": "example.com", "base_path": "/v1"}, "https://example.com/v1"),
    "deep base path": ({"domainName": "example.com", "base_path": "/ai/router"}, "https://example.com/ai/router"),
    "make run": ({"domainName": "127.0.0.1:8000"}, "http://127.0.0.1:8000"),
    "chalice local": ({"Host": "localhost:8001"}, "http://localhost:8001"),
    "IPv6": ({"Host": "[::1]:8001"}, "http://[::1]:8001"),
}
EVERY_WAY = pytest.mark.parametrize(("way", "base"), WAYS.values(), ids=WAYS)


def call(method: str, path: str, way: dict[str, str], **headers: str) -> dict[str, Any]:
    """The function's answer to a caller at an address."""
    host = {"host": way["Host"]} if "Host" in way else {}
    event = gateway_event(
        method, path, None, headers | host, stage=way.get("stage", ""), base_path=way.get("base_path", "")
    )
    if "domainName" in way:
        event["requestContext"]["domainName"] = way["domainName"]
    answer: dict[str, Any] = app_module.app(event, LambdaContext())
    return answer


@EVERY_WAY
def test_the_resource_is_the_address_that_the_caller_used(router: Router, way: dict[str, str], base: str) -> None:
    answer = call("GET", PATH, way)

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {
        "resource": base,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["lambda-router/jobs"],
        "bearer_methods_supported": ["header"],
    }


def test_the_document_may_be_kept_for_a_while(router: Router) -> None:
    headers = call("GET", PATH, {"domainName": OWN})["headers"]

    assert (headers["Content-Type"], headers["Cache-Control"]) == ("application/json", "public, max-age=300")


def test_domain_name_counts_and_not_the_callers_host(router: Router) -> None:
    """What a cache keeps for everybody, no caller may choose."""
    answer = call("GET", PATH, {"domainName": OWN, "Host": "evil.example.com"})

    assert json.loads(answer["body"])["resource"] == f"https://{OWN}"


@pytest.mark.parametrize(
    "host", ["", 'a"b', "a b", "evil.example.com/path", "user@example.com", "a,b", "example.com:x"]
)
def test_an_address_that_cannot_be_told_is_400(router: Router, host: str) -> None:
    answer = call("GET", PATH, {"Host": host})

    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["type"].endswith(":malformed-request")


@pytest.mark.parametrize("spelling", [f"{PATH}/", PATH.replace("-", "%2D")], ids=["slash", "escaped"])
def test_another_spelling_of_the_path_changes_nothing(router: Router, spelling: str) -> None:
    event = gateway_event("GET", PATH, None, {})
    event["requestContext"] |= {"domainName": "example.com", "path": f"/router{spelling}"}

    assert json.loads(app_module.app(event, LambdaContext())["body"])["resource"] == "https://example.com/router"


def test_it_needs_no_redis(build_router: BuildRouter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"redis://127.0.0.1:{gone.getsockname()[1]}/0"
    assert build_router(REDIS_URL=url).get(PATH, headers={"host": "localhost"}).status == 200


def test_the_client_for_people_is_named(build_router: BuildRouter) -> None:
    build_router(COGNITO_LOGIN_CLIENT_ID=LOGIN)

    assert json.loads(call("GET", PATH, {"domainName": OWN})["body"])["lambda_router_client_id"] == LOGIN


def test_a_client_that_is_named_is_accepted(build_router: BuildRouter, make_token: MakeToken) -> None:
    """There is no way to send people to a client whose tokens get 401."""
    theirs = make_token(client_id=LOGIN)
    router = build_router(COGNITO_LOGIN_CLIENT_ID=LOGIN)

    assert router.as_caller(theirs).get("/v1/jobs").status == 200
    assert router.get("/v1/jobs").status == 200
    assert build_router().as_caller(theirs).get("/v1/jobs").status == 401


def test_a_configured_issuer_is_where_people_sign_in(build_router: BuildRouter) -> None:
    build_router(COGNITO_ISSUER="http://127.0.0.1:9000/pool, https://other.example.com")

    servers = json.loads(call("GET", PATH, {"domainName": OWN})["body"])["authorization_servers"]
    assert servers == ["http://127.0.0.1:9000/pool"]


@EVERY_WAY
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/job_x", "/v1/responses/resp_x/input_items"])
def test_a_401_names_the_document(router: Router, way: dict[str, str], base: str, path: str) -> None:
    answer = call("GET", path, way)

    assert answer["statusCode"] == 401
    assert answer["headers"]["WWW-Authenticate"] == f'Bearer error="invalid_token", resource_metadata="{base}{PATH}"'


@pytest.mark.parametrize("path", ["/other", '/pre"fix/v1/jobs', "/pre fix/v1/jobs", "/jobs"])
def test_a_401_names_no_document_whose_address_is_in_doubt(router: Router, path: str) -> None:
    event = gateway_event("GET", "/v1/jobs", None, {})
    event["requestContext"] |= {"domainName": OWN, "path": path}

    answer = app_module.app(event, LambdaContext())

    assert answer["statusCode"] == 401
    assert answer["headers"]["WWW-Authenticate"] == 'Bearer error="invalid_token"'
