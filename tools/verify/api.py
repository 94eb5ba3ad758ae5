"""Checks that API Gateway serves the packaged API: newest deployment, authorizers, gateway responses."""

from collections.abc import Iterator
from typing import Any

from tools.merge.responses import RESPONSES
from tools.merge.shape import Json
from tools.stack.deployed import DeployedStack
from tools.stack.findings import Finding, compared, or_well
from tools.verify.routes import REDEPLOY


def deployment(stack: DeployedStack) -> Iterator[Finding]:
    """Check that the stage serves the newest deployment."""
    gateway = stack.aws("apigateway")
    stage = gateway.get_stage(restApiId=stack.api_id, stageName=stack.api_stage_name)
    pages = gateway.get_paginator("get_deployments").paginate(restApiId=stack.api_id)
    made = {each["id"]: each["createdDate"] for page in pages for each in page["items"]}
    serving = stage["deploymentId"]
    newest = max(made, key=lambda each: (made[each], each == serving))
    yield compared(
        f"deployment of stage {stack.api_stage_name}",
        serving,
        newest,
        why="changed routes, scopes or responses are stored but not served, or unreleased ones are served",
        fix=REDEPLOY,
    )


def authorizers(stack: DeployedStack, body: Json, fix: str) -> Iterator[Finding]:
    """Check that the authorizers are exactly the packaged ones, each with its user pool."""
    answer = stack.aws("apigateway").get_authorizers(restApiId=stack.api_id, limit=500)
    found = {each["name"]: _listed(each.get("providerARNs", [])) for each in answer["items"]}
    schemes = body.get("components", {}).get("securitySchemes", {})
    wanted = {name: _listed(given[_AUTHORIZER]["providerARNs"]) for name, given in schemes.items()}
    for name in sorted({*found, *wanted}):
        yield compared(
            f"user pool of authorizer {name}",
            found.get(name, "no such authorizer"),
            wanted.get(name, "no such authorizer"),
            why="API Gateway and the function check tokens against different user pools: every caller gets 401",
            fix=fix,
        )


_AUTHORIZER = "x-amazon-apigateway-authorizer"


def responses(stack: DeployedStack, body: Json, fix: str) -> Iterator[Finding]:
    """Check that the responses that API Gateway creates itself are the packaged ones."""
    answer = stack.aws("apigateway").get_gateway_responses(restApiId=stack.api_id, limit=500)
    found = {each["responseType"]: each for each in answer["items"] if not each.get("defaultResponse")}
    wanted = body.get(RESPONSES, {})
    yield from or_well(
        (
            compared(
                f"gateway response {kind}",
                _described(found.get(kind)),
                _described(wanted.get(kind)),
                why="when API Gateway rejects a request itself, its response differs from docs/contract.md",
                fix=fix,
            )
            for kind in sorted({*found, *wanted})
        ),
        "gateway responses",
        f"{len(found)} as packaged",
    )


def _described(response: dict[str, Any] | None) -> str:
    if response is None:
        return "API Gateway's own"
    parts = [f"status {response['statusCode']}"] if response.get("statusCode") else []
    for name in ("responseParameters", "responseTemplates"):
        parts += [f"{key}: {value}" for key, value in sorted((response.get(name) or {}).items())]
    return "; ".join(parts)


def _listed(arns: list[str]) -> str:
    return ", ".join(sorted(arns)) or "none"
