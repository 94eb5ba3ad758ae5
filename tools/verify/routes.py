"""Checks that API Gateway has exactly the packaged routes, each called as packaged."""

from collections.abc import Iterator
from dataclasses import dataclass

from tools.merge.openapi import ANY_METHOD, INTEGRATION
from tools.merge.shape import Json
from tools.package.routes import RESERVED
from tools.stack.deployed import DeployedStack
from tools.stack.findings import Finding, compared, or_well

REDEPLOY = "make plan REPLACE=aws_api_gateway_deployment.rest_api && make apply"
#: Terraform does not read what became of the body that it imported, so its plan finds nothing to fix.
REIMPORT = f"make reimport && {REDEPLOY}"


@dataclass(frozen=True)
class Route:
    """API Gateway's configuration for one method of one path.

    Attributes:
        integration: ``AWS_PROXY`` and the ARN that is called, or ``MOCK``.
        authorization: ``NONE``, or ``COGNITO_USER_POOLS`` and the authorizer's name.
        scopes: the scopes of which a token must carry one.
        transfer: ``BUFFERED``, or ``STREAM`` and the milliseconds that a response may take.
    """

    integration: str
    authorization: str
    scopes: tuple[str, ...]
    transfer: str = "BUFFERED"


#: The consequence of a difference in each attribute of a route.
_WHY = {
    "integration": "API Gateway itself or an unreleased version serves this route instead of the alias",
    "authorization": "everybody may call this route, or nobody may",
    "scopes": "without scopes API Gateway accepts ID tokens, not access tokens; with others it rejects all callers",
    "transfer": "API Gateway holds a streamed response back until it ends, or breaks it off",
}


def packaged(body: Json) -> dict[str, Route]:
    """Return the routes of an OpenAPI body, by ``METHOD /path``."""
    found = {}
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            integration = operation[INTEGRATION]
            ((scheme, scopes),) = next(iter(operation.get("security", [])), {"": ()}).items()
            found[f"{'ANY' if method == ANY_METHOD else method.upper()} {path}"] = Route(
                f"{integration['type'].upper()} {integration.get('uri', '')}".strip(),
                f"COGNITO_USER_POOLS {scheme}" if scheme else "NONE",
                tuple(scopes),
                _transfer(integration),
            )
    return found


def deployed(stack: DeployedStack) -> dict[str, Route]:
    """Return the routes that API Gateway has, by ``METHOD /path``."""
    gateway, api = stack.aws("apigateway"), {"restApiId": stack.api_id}
    authorizers = {each["id"]: each["name"] for each in gateway.get_authorizers(**api, limit=500)["items"]}
    pages = gateway.get_paginator("get_resources").paginate(**api, embed=["methods"])
    found = {}
    for resource in (resource for page in pages for resource in page["items"]):
        for method, described in resource.get("resourceMethods", {}).items():
            integration = described.get("methodIntegration") or {}
            authorizer = authorizers.get(described.get("authorizerId") or "", "")
            found[f"{method} {resource['path']}"] = Route(
                f"{integration.get('type', 'none')} {integration.get('uri') or ''}".strip(),
                f"{described.get('authorizationType') or 'NONE'} {authorizer}".strip(),
                tuple(described.get("authorizationScopes") or ()),
                _transfer(integration),
            )
    return found


def _transfer(integration: Json) -> str:
    mode = integration.get("responseTransferMode") or "BUFFERED"
    return f"{mode} {integration.get('timeoutInMillis')} ms" if mode == "STREAM" else str(mode)


def routes(stack: DeployedStack, body: Json, fix: str) -> Iterator[Finding]:
    """Check that the routes are exactly the packaged ones."""
    found, wanted = deployed(stack), packaged(body)
    yield from or_well(
        (finding for name in sorted({*found, *wanted}) for finding in _route(name, found, wanted, fix)),
        "routes",
        f"{len(found)} as packaged",
    )


def _route(name: str, found: dict[str, Route], wanted: dict[str, Route], fix: str) -> Iterator[Finding]:
    if name not in found:
        why = "callers get an error that this route does not exist"
        yield Finding(f"route {name}", False, "no such route", "a route, as packaged", why, fix)
    elif name not in wanted:
        why = "it was added by hand, without a review, and the package does not define who may call it"
        if name.partition(" ")[2].rstrip("/") in RESERVED:
            why = "API Gateway reserves this path for its own health checks, so the route does not work as intended"
        yield Finding(f"route {name}", False, f"a route, {found[name].integration}", "no such route", why, fix)
    else:
        for aspect, why in _WHY.items():
            here, there = (_told(getattr(route, aspect)) for route in (found[name], wanted[name]))
            yield compared(f"{aspect} of {name}", here, there, why=why, fix=fix)


def _told(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(value) or "none"
