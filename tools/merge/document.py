"""Convert Chalice's Terraform document into one that current Terraform accepts.

This does only what HCL cannot do: remove blocks that an override file cannot delete, and change the API's body, which
is one string. Everything else is in ``terraform/*.tf``. Each step is a pure function that asserts the shape it changes.
So another version of Chalice fails here, with a clear message, and not in an account.
"""

import json
from collections.abc import Callable
from functools import reduce

from tools.merge.openapi import API_HANDLER, PAGES_PATH, to_openapi
from tools.merge.responses import RESPONSES, gateway_responses
from tools.merge.shape import Json, demand, demand_keys, part, replaced, without
from tools.merge.streaming import streamed_paths
from tools.stack.refusal import Refusal

BODY, BUILD = "chalice_api_swagger", "build"
#: The paths of the streaming function; and the body with them, or without where ``streaming`` is false.
STREAMED, SERVED = "streamed_paths", "api_body"
#: Whether the API has the pages. Terraform cannot see that in the body, parts of which it knows only after an apply.
PAGES = "has_pages"
_BLOCKS = ("terraform", "data", "locals", "resource", "output")
_DATA = ("aws_caller_identity", "aws_partition", "aws_region", "null_data_source")
_RESOURCES = (
    "aws_api_gateway_deployment",
    "aws_api_gateway_rest_api",
    "aws_cloudwatch_event_rule",
    "aws_cloudwatch_event_target",
    "aws_iam_role",
    "aws_iam_role_policy",
    "aws_lambda_function",
    "aws_lambda_permission",
)
_INVOKE_URL = "aws_api_gateway_deployment.rest_api.invoke_url"


def merge(document: Json) -> Json:
    """Return Chalice's document as Terraform 1.10 and the AWS provider 5.100 accept it.

    Raises:
        UnknownShape: Chalice's output differs from that of the supported version.
        Refusal: the stage creates roles of its own.
    """
    return reduce(lambda so_far, step: step(so_far), STEPS, document)


def named(merged: Json, build: str) -> Json:
    """Return the document with its build, which becomes the description of each published version."""
    return replaced(merged, part(merged, "locals") | {BUILD: build}, "locals")


def known_blocks(document: Json) -> Json:
    """Reject unknown blocks, which would be deployed unchanged and unchecked."""
    demand_keys("the document", document, _BLOCKS, _BLOCKS)
    demand_keys("data", document["data"], _DATA)
    demand_keys("resource", document["resource"], _RESOURCES)
    return document


def without_roles(document: Json) -> Json:
    """Reject Chalice's role, which may write any log group of the account; ours is in modules/iam."""
    if roles := document["resource"].get("aws_iam_role"):
        raise Refusal(
            f"Chalice makes the role {min(roles)} for this stage: set manage_iam_role to false and iam_role_arn to"
            " ${module.iam.runtime_role_arn} in .chalice/config.json"
        )
    return document


def without_terraform_block(document: Json) -> Json:
    """Remove the version limits, which exclude Terraform 1.4, the AWS provider 5 and later ones (aws/chalice#2066)."""
    demand_keys("terraform", document["terraform"], ("required_version", "required_providers"))
    return without(document, "terraform")


def without_null_provider(document: Json) -> Json:
    """Remove a data source of two constants, which would require another provider (aws/chalice#1874)."""
    demand_keys("data.null_data_source", part(document, "data", "null_data_source"), ("chalice",))
    return replaced(document, without(document["data"], "null_data_source"), "data")


def without_stage_in_deployment(document: Json) -> Json:
    """Remove the deployment's stage: it has no throttling, logs or tags, and provider 6 removed its attributes."""
    place = ("resource", "aws_api_gateway_deployment", "rest_api")
    deployment = part(document, *place)
    known = ("lifecycle", "rest_api_id", "stage_description", "stage_name")
    demand_keys(".".join(place), deployment, known, known)
    demand(f"{'.'.join(place)}.lifecycle", deployment["lifecycle"], {"create_before_destroy": True})
    return replaced(document, without(deployment, "stage_name", "stage_description"), *place)


def redeployed_when_the_body_changes(document: Json) -> Json:
    """Add a trigger, without which a changed API is stored but never served."""
    place = ("resource", "aws_api_gateway_deployment", "rest_api")
    # terraform/domain.tf knows what else is served only after a deployment.
    triggers = f"${{merge({{ redeployment = sha1(local.{SERVED}) }}, local.redeployed_besides)}}"
    return replaced(document, part(document, *place) | {"triggers": triggers}, *place)


def without_stale_outputs(document: Json) -> Json:
    """Remove outputs with the deployment's URL, which lacks its stage; the hand-written stage has the whole URL."""
    for name, output in document["output"].items():
        demand_keys(f"output.{name}", output, ("value",), ("value",))
    kept = {name: output for name, output in document["output"].items() if _INVOKE_URL not in output["value"]}
    return replaced(document, kept, "output")


def rules_named_for_the_function(document: Json) -> Json:
    """Add the function's name to schedules: Chalice's names collide between two stages in one account (#2135)."""
    rules = document["resource"].get("aws_cloudwatch_event_rule")
    if rules is None:
        return document
    prefix = "${aws_lambda_function.api_handler.function_name}-"
    named = {key: rule | {"name": prefix + part(rule, "name")} for key, rule in rules.items()}
    return replaced(document, named, "resource", "aws_cloudwatch_event_rule")


def openapi_body(document: Json) -> Json:
    """Convert the body to OpenAPI 3, with the alias instead of ``$LATEST`` and our gateway responses.

    The gateway responses are part of the body, because each import of a body resets those that are separate resources.
    """
    demand_keys("locals", document["locals"], (BODY,), (BODY,))
    demand(
        "rest_api.body",
        part(document, "resource", "aws_api_gateway_rest_api", "rest_api", "body"),
        f"${{local.{BODY}}}",
    )
    variables = part(document, "resource", *API_HANDLER, "environment", "variables")
    body = to_openapi(json.loads(document["locals"][BODY]))
    responses = gateway_responses(body, variables.get("ROUTER_CORS_ORIGIN", ""))
    text = json.dumps(body | {RESPONSES: responses}, sort_keys=True)
    return replaced(document, text, "locals", BODY)


def paths_that_stream(document: Json) -> Json:
    """Add the paths of the OpenAI API once more, as calls of the streaming function."""
    paths = streamed_paths(json.loads(part(document, "locals", BODY)))
    return replaced(document, part(document, "locals") | {STREAMED: json.dumps(paths, sort_keys=True)}, "locals")


def said_to_have_pages(document: Json) -> Json:
    """Add whether the API has the pages, for what Terraform makes or leaves out because of them."""
    has_pages = PAGES_PATH in json.loads(part(document, "locals", BODY))["paths"]
    return replaced(document, part(document, "locals") | {PAGES: has_pages}, "locals")


STEPS: tuple[Callable[[Json], Json], ...] = (
    known_blocks,
    without_roles,
    without_terraform_block,
    without_null_provider,
    without_stage_in_deployment,
    redeployed_when_the_body_changes,
    without_stale_outputs,
    rules_named_for_the_function,
    openapi_body,
    paths_that_stream,
    said_to_have_pages,
)
