"""A shape that the merge was not made for is refused, by name."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.package.test_merge import preflight, raw, swagger
from tools.merge.document import BODY, merge
from tools.merge.openapi import INTEGRATION, to_openapi
from tools.stack.refusal import Refusal, UnknownShape

type Change = Callable[[dict[str, Any]], object]

DOCUMENTS: dict[str, tuple[Change, str]] = {
    "a new block": (lambda d: d.update(module={}), "the document, the member module"),
    "a missing block": (lambda d: d.pop("output"), "the document, the member output"),
    "a new resource": (
        lambda d: d["resource"].update(aws_sqs_queue={}),
        "resource, the member aws_sqs_queue",
    ),
    "a new data source": (lambda d: d["data"].update(aws_ami={}), "data, the member aws_ami"),
    "a new terraform setting": (lambda d: d["terraform"].update(backend={}), "terraform, the member backend"),
    "no null data source": (lambda d: d["data"].pop("null_data_source"), "data, the member null_data_source"),
    "a second null data source": (
        lambda d: d["data"]["null_data_source"].update(other={}),
        "data.null_data_source, the member other",
    ),
    "no deployment": (
        lambda d: d["resource"].pop("aws_api_gateway_deployment"),
        "resource, the member aws_api_gateway_deployment",
    ),
    "a deployment with more": (
        lambda d: d["resource"]["aws_api_gateway_deployment"]["rest_api"].update(canary={}),
        "resource.aws_api_gateway_deployment.rest_api, the member canary",
    ),
    "a deployment with another lifecycle": (
        lambda d: d["resource"]["aws_api_gateway_deployment"]["rest_api"].update(lifecycle={}),
        "resource.aws_api_gateway_deployment.rest_api.lifecycle",
    ),
    "an output with more": (
        lambda d: d["output"]["RestAPIId"].update(sensitive=True),
        "output.RestAPIId, the member sensitive",
    ),
    "a second local": (lambda d: d["locals"].update(more=""), "locals, the member more"),
    "another body": (
        lambda d: d["resource"]["aws_api_gateway_rest_api"]["rest_api"].update(body="{}"),
        "rest_api.body",
    ),
    "no variables": (
        lambda d: d["resource"]["aws_lambda_function"]["api_handler"].pop("environment"),
        "resource.aws_lambda_function.api_handler, the member environment",
    ),
}

SWAGGERS: dict[str, tuple[Change, str]] = {
    "another version": (lambda s: s.update(swagger="3.0"), "swagger"),
    "a new member": (lambda s: s.update(tags=[]), "the Swagger document, the member tags"),
    "a model": (lambda s: s["definitions"].update(Job={}), "definitions"),
    "a new method": (lambda s: s["paths"]["/health"].update(trace={}), "paths./health, the member trace"),
    "a new member of an operation": (
        lambda s: s["paths"]["/health"]["get"].update(deprecated=True),
        "get /health, the member deprecated",
    ),
    "no integration": (
        lambda s: s["paths"]["/health"]["get"].pop(INTEGRATION),
        f"get /health, the member {INTEGRATION}",
    ),
    "an integration with more": (
        lambda s: s["paths"]["/health"]["get"][INTEGRATION].update(credentials="x"),
        "get /health, integration, the member credentials",
    ),
    "an integration of another type": (
        lambda s: s["paths"]["/health"]["get"][INTEGRATION].update(type="http"),
        "get /health, integration type",
    ),
    "an integration of something else": (
        lambda s: s["paths"]["/health"]["get"][INTEGRATION].update(uri="${aws_lambda_function.b.invoke_arn}"),
        "get /health, integration uri",
    ),
    "a mock that is no preflight": (
        lambda s: s["paths"]["/health"].update(get=preflight()),
        "the method of the mock get /health",
    ),
    "a parameter in the query": (
        lambda s: s["paths"]["/v1/jobs/{job_id}"]["get"]["parameters"][0].update({"in": "query"}),
        "get /v1/jobs/{job_id}, parameter job_id",
    ),
    "another authorizer": (
        lambda s: s["securityDefinitions"]["cognito"].update({"x-amazon-apigateway-authtype": "custom"}),
        "securityDefinitions.cognito",
    ),
}


@pytest.mark.parametrize(("change", "place"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_of_another_shape(change: Change, place: str) -> None:
    document = raw()
    change(document)

    with pytest.raises(UnknownShape) as refused:
        merge(document)

    assert str(refused.value).startswith(f"{place} in Chalice's Terraform is ")
    assert "pin chalice to the version in requirements/dev.txt" in str(refused.value)


@pytest.mark.parametrize(("change", "place"), SWAGGERS.values(), ids=SWAGGERS)
def test_an_api_of_another_shape(change: Change, place: str) -> None:
    given = swagger()
    change(given)

    with pytest.raises(UnknownShape) as refused:
        to_openapi(given)

    assert str(refused.value).startswith(f"{place} in Chalice's Terraform is ")


def test_a_role_that_chalice_makes() -> None:
    document = raw()
    document["resource"]["aws_iam_role"] = {"default-role": {}}

    with pytest.raises(Refusal) as refused:
        merge(document)

    assert str(refused.value) == (
        "Chalice makes the role default-role for this stage: set manage_iam_role to false and iam_role_arn to"
        " ${module.iam.runtime_role_arn} in .chalice/config.json"
    )


def test_an_origin_that_is_no_header() -> None:
    document = raw()
    document["resource"]["aws_lambda_function"]["api_handler"]["environment"]["variables"]["ROUTER_CORS_ORIGIN"] = "a'b"

    with pytest.raises(Refusal, match=r'^ROUTER_CORS_ORIGIN is "a\'b": an origin cannot contain an apostrophe$'):
        merge(document)


def test_a_merged_document_is_not_merged_again() -> None:
    with pytest.raises(UnknownShape, match=r"^the document, the member terraform"):
        merge(merge(raw()))


def test_the_local_holds_json() -> None:
    assert json.loads(merge(raw())["locals"][BODY])
