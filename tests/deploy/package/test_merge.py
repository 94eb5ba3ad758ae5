"""What the merge makes of Chalice's document, step by step."""

import json
from copy import deepcopy
from typing import Any

import pytest
from openapi_spec_validator import validate

from chalicelib.api.responses import OPENAI_PATHS
from tools.merge.document import BODY, STEPS, STREAMED, merge, rules_named_for_the_function
from tools.merge.openapi import ALIAS, ANY_METHOD, INTEGRATION, MEDIA_TYPES, scopes_of, to_openapi
from tools.merge.streaming import streamed_paths, with_paths
from tools.package.golden import MERGED, RAW, as_text


def raw() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(RAW.read_text())
    return document


def swagger() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(raw()["locals"][BODY])
    return document


def body() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(merge(raw())["locals"][BODY])
    return document


def preflight() -> dict[str, Any]:
    """What Chalice adds to a path with CORS."""
    return {
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "responses": {
            "200": {
                "description": "200 response",
                "schema": {"$ref": "#/definitions/Empty"},
                "headers": {"Access-Control-Allow-Origin": {"type": "string"}},
            }
        },
        INTEGRATION: {
            "responses": {
                "default": {
                    "statusCode": "200",
                    "responseParameters": {"method.response.header.Access-Control-Allow-Origin": "'*'"},
                }
            },
            "requestTemplates": {"application/json": '{"statusCode": 200}'},
            "passthroughBehavior": "when_no_match",
            "type": "mock",
            "contentHandling": "CONVERT_TO_TEXT",
        },
    }


def test_the_golden_document_is_what_the_merge_makes() -> None:
    assert as_text(merge(raw())) == MERGED.read_text(), "fix: make golden, and read the difference"


def test_the_processor_is_the_one_that_was_packaged_for() -> None:
    document = raw()
    document["resource"]["aws_lambda_function"]["api_handler"]["architectures"] = ["arm64"]

    assert merge(document)["resource"]["aws_lambda_function"]["api_handler"]["architectures"] == ["arm64"]


def test_the_merge_changes_nothing_that_it_is_given() -> None:
    document = raw()
    before = deepcopy(document)

    merge(document)

    assert document == before


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_a_step_changes_nothing_that_it_is_given_and_has_a_reason(step: Any) -> None:
    document = raw()
    before = deepcopy(document)

    step(document)

    assert document == before
    assert step.__doc__


def test_the_terraform_block_and_the_null_provider_are_gone() -> None:
    merged = merge(raw())

    assert "terraform" not in merged
    assert set(merged["data"]) == {"aws_caller_identity", "aws_partition", "aws_region"}


def test_the_deployment_has_no_stage_and_follows_the_body() -> None:
    assert merge(raw())["resource"]["aws_api_gateway_deployment"]["rest_api"] == {
        "rest_api_id": "${aws_api_gateway_rest_api.rest_api.id}",
        "lifecycle": {"create_before_destroy": True},
        "triggers": "${merge({ redeployment = sha1(local.api_body) }, local.redeployed_besides)}",
    }


def test_the_output_of_the_deployments_url_is_gone() -> None:
    assert set(raw()["output"]) == {"EndpointURL", "RestAPIId"}
    assert set(merge(raw())["output"]) == {"RestAPIId"}


def test_function_permission_and_api_stay_as_chalice_wrote_them() -> None:
    before, after = raw()["resource"], merge(raw())["resource"]

    for kind in ("aws_lambda_function", "aws_lambda_permission", "aws_api_gateway_rest_api"):
        assert after[kind] == before[kind]


def test_the_function_has_the_role_of_the_module() -> None:
    function = merge(raw())["resource"]["aws_lambda_function"]["api_handler"]

    assert function["role"] == "${module.iam.runtime_role_arn}"
    assert "aws_iam_role" not in merge(raw())["resource"]


def test_a_schedule_is_named_for_the_function() -> None:
    document = raw()
    rule = {"name": "tidy-event", "schedule_expression": "rate(1 hour)"}
    document["resource"]["aws_cloudwatch_event_rule"] = {"tidy-event": rule}

    rules = rules_named_for_the_function(document)["resource"]["aws_cloudwatch_event_rule"]

    assert rules["tidy-event"] == rule | {"name": "${aws_lambda_function.api_handler.function_name}-tidy-event"}


def test_the_body_is_openapi_3() -> None:
    converted = body()

    validate(converted)
    assert converted["openapi"] == "3.0.1"
    assert set(converted) == {
        "openapi",
        "info",
        "paths",
        "components",
        MEDIA_TYPES,
        "x-amazon-apigateway-gateway-responses",
    }
    assert "schemas" not in converted["components"]
    assert converted[MEDIA_TYPES] == swagger()[MEDIA_TYPES]


def test_every_route_calls_the_alias_and_keeps_its_guard() -> None:
    converted = body()

    for path, methods in swagger()["paths"].items():
        assert set(converted["paths"][path]) == {*methods, ANY_METHOD}
        for method, operation in methods.items():
            after = converted["paths"][path][method]
            assert after[INTEGRATION] == operation[INTEGRATION] | {"uri": ALIAS}
            assert after.get("security") == operation.get("security")


def test_latest_is_nowhere() -> None:
    assert "aws_lambda_function.api_handler.invoke_arn" not in as_text(merge(raw()))


def test_path_parameters_have_a_schema() -> None:
    assert body()["paths"]["/v1/jobs/{job_id}"]["get"]["parameters"] == [
        {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}
    ]


def test_the_authorizer_is_taken_over() -> None:
    assert body()["components"]["securitySchemes"] == {
        "cognito": {
            "in": "header",
            "type": "apiKey",
            "name": "Authorization",
            "x-amazon-apigateway-authtype": "cognito_user_pools",
            "x-amazon-apigateway-authorizer": {
                "type": "cognito_user_pools",
                "providerARNs": ["${var.cognito_user_pool_arn}"],
            },
        }
    }


def test_a_wrong_method_reaches_the_function_and_on_a_guarded_path_wants_a_token() -> None:
    paths = body()["paths"]

    for path, methods in paths.items():
        assert methods[ANY_METHOD][INTEGRATION]["uri"] == ALIAS
        guard = [{"cognito": ["${var.router_scope}"]}] if path.startswith("/v1/") else None
        assert methods[ANY_METHOD].get("security") == guard


def test_scopes_are_listed_once() -> None:
    assert scopes_of(body()) == ["${var.router_scope}"]


def test_a_preflight_stays_api_gateways_own_answer() -> None:
    given = swagger()
    given["paths"]["/health"]["options"] = preflight()

    converted = to_openapi(given)["paths"]["/health"]

    assert converted["options"][INTEGRATION] == preflight()[INTEGRATION]
    assert converted["options"]["responses"]["200"] == {
        "description": "200 response",
        "headers": {"Access-Control-Allow-Origin": {"schema": {"type": "string"}}},
    }
    assert converted[ANY_METHOD][INTEGRATION]["type"] == "aws_proxy"


def streamed() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(merge(raw())["locals"][STREAMED])
    return document


def test_the_paths_of_the_openai_api_stream_from_their_own_function() -> None:
    paths = streamed()

    assert set(paths) == {path for path in body()["paths"] if path.startswith(OPENAI_PATHS)}
    assert {"/v1/models", "/v1/responses", "/v1/responses/{response_id}", "/v1/chat/completions"} <= set(paths)
    for methods in paths.values():
        for operation in methods.values():
            assert operation[INTEGRATION] == {
                "type": "aws_proxy",
                "httpMethod": "POST",
                "passthroughBehavior": "when_no_match",
                "uri": "${local.stream_invoke_arn}",
                "responseTransferMode": "STREAM",
                "timeoutInMillis": 900_000,
            }


def test_a_path_that_streams_differs_by_its_integration_only() -> None:
    before = body()["paths"]

    for path, methods in streamed().items():
        assert set(methods) == set(before[path])
        for method, operation in methods.items():
            assert operation | {INTEGRATION: {}} == before[path][method] | {INTEGRATION: {}}


def test_the_body_with_the_paths_that_stream_is_openapi_3_and_has_every_path() -> None:
    whole = with_paths(body(), streamed())

    validate(whole)
    assert set(whole["paths"]) == set(body()["paths"])


def test_the_plain_body_streams_nowhere() -> None:
    assert "STREAM" not in merge(raw())["locals"][BODY]
    assert "local.stream_invoke_arn" not in merge(raw())["locals"][BODY]


def test_a_preflight_of_a_path_that_streams_stays_api_gateways_own_answer() -> None:
    given = swagger()
    given["paths"]["/v1/responses"]["options"] = preflight()

    converted = to_openapi(given)

    assert streamed_paths(converted)["/v1/responses"]["options"] == converted["paths"]["/v1/responses"]["options"]
