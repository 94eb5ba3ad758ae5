"""API Gateway's own answers have the shape and the statuses of ours."""

import json
from typing import Any

import botocore.session
import pytest

from chalicelib.api import gateway
from chalicelib.errors import Problem
from tests.deploy.package.test_merge import body, raw
from tools.merge.document import BODY, merge

ORIGIN = "https://app.example.com"
STATUSES = {
    "ACCESS_DENIED": 403,
    "API_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_FAILURE": 500,
    "BAD_REQUEST_BODY": 400,
    "BAD_REQUEST_PARAMETERS": 400,
    "EXPIRED_TOKEN": 404,
    "INTEGRATION_FAILURE": 504,
    "INTEGRATION_TIMEOUT": 504,
    "INVALID_API_KEY": 403,
    "INVALID_SIGNATURE": 404,
    "MISSING_AUTHENTICATION_TOKEN": 404,
    "QUOTA_EXCEEDED": 429,
    "REQUEST_TOO_LARGE": 413,
    "RESOURCE_NOT_FOUND": 404,
    "THROTTLED": 429,
    "UNAUTHORIZED": 401,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "WAF_FILTERED": 403,
}

each_type = pytest.mark.parametrize("kind", [*STATUSES, "DEFAULT_4XX", "DEFAULT_5XX"])


def responses(origin: str = "") -> dict[str, Any]:
    document = raw()
    function = document["resource"]["aws_lambda_function"]["api_handler"]
    function["environment"]["variables"]["ROUTER_CORS_ORIGIN"] = origin
    merged: dict[str, Any] = json.loads(merge(document)["locals"][BODY])["x-amazon-apigateway-gateway-responses"]
    return merged


def problem(kind: str) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(responses()[kind]["responseTemplates"]["application/json"])
    return members


def header(kind: str, name: str, origin: str = "") -> str | None:
    value: str | None = responses(origin)[kind]["responseParameters"].get(f"gatewayresponse.header.{name}")
    return value


def test_every_type_that_api_gateway_knows_has_one() -> None:
    model = botocore.session.get_session().get_service_model("apigateway")

    assert set(responses()) == set(model.shape_for("GatewayResponseType").enum)


@pytest.mark.parametrize(("kind", "status"), STATUSES.items())
def test_statuses_are_those_of_the_contract(kind: str, status: int) -> None:
    assert responses()[kind]["statusCode"] == str(status)
    assert problem(kind)["status"] == status


@pytest.mark.parametrize("kind", ["DEFAULT_4XX", "DEFAULT_5XX"])
def test_a_default_keeps_the_status_because_it_would_be_every_others_too(kind: str) -> None:
    assert "statusCode" not in responses()[kind]
    assert "status" not in problem(kind)


@each_type
def test_all_are_problem_json_with_the_request_id_and_no_words_of_the_callers(kind: str) -> None:
    assert header(kind, "Content-Type") == "'application/problem+json'"
    assert header(kind, "Cache-Control") == "'no-store'"
    assert header(kind, "X-Request-Id") == "context.requestId"
    assert problem(kind)["instance"] == "$context.requestId"
    assert "messageString" not in json.dumps(responses()[kind])


@each_type
def test_types_and_titles_are_ours_or_say_no_more_than_the_status(kind: str) -> None:
    ours = {known.uri(): known.title for known in Problem.kinds()}
    members = problem(kind)

    assert members["type"] == "about:blank" or ours[members["type"]] == members["title"]


@each_type
def test_all_are_errors_of_the_openai_api_too(kind: str) -> None:
    error = problem(kind)["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    status = STATUSES.get(kind, 400 if kind == "DEFAULT_4XX" else 500)
    assert (error["type"] == "server_error") == (status >= 500)


def test_an_unknown_route_is_what_the_function_says_of_one() -> None:
    assert problem("MISSING_AUTHENTICATION_TOKEN")["detail"] == "There is no such route; GET /openapi.json lists them."


def test_a_refused_token_is_told_how_to_authenticate() -> None:
    assert header("UNAUTHORIZED", "WWW-Authenticate") == "'Bearer error=\"invalid_token\"'"
    assert "Bearer <token>" in problem("UNAUTHORIZED")["detail"]


def test_a_token_without_the_scope_is_told_the_scope() -> None:
    assert header("ACCESS_DENIED", "WWW-Authenticate") == (
        '\'Bearer error="insufficient_scope", scope="${var.router_scope}"\''
    )


@pytest.mark.parametrize("kind", ["THROTTLED", "QUOTA_EXCEEDED"])
def test_a_throttled_caller_is_told_when_to_come_back(kind: str) -> None:
    assert header(kind, "Retry-After") == "'1'"


@each_type
def test_with_an_origin_a_page_may_read_them(kind: str) -> None:
    assert header(kind, "Access-Control-Allow-Origin", ORIGIN) == f"'{ORIGIN}'"
    assert header(kind, "Access-Control-Expose-Headers", ORIGIN) == f"'{','.join(gateway.EXPOSED_HEADERS)}'"


@each_type
def test_with_several_origins_any_page_may_read_them(kind: str) -> None:
    assert header(kind, "Access-Control-Allow-Origin", f"{ORIGIN},https://b.example") == "'*'"


@each_type
def test_without_an_origin_there_is_no_cors(kind: str) -> None:
    assert header(kind, "Access-Control-Allow-Origin") is None


def test_they_are_in_the_body_itself() -> None:
    assert body()["x-amazon-apigateway-gateway-responses"] == responses()
