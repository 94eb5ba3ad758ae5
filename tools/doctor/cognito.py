"""The user pool: it exists, the clients belong to it, and they may request the scope."""

import difflib
import json
import shlex
from collections.abc import Iterator
from typing import Any

from tools.stack.configured import Stack, commas
from tools.stack.findings import Finding

#: Scopes that belong to no resource server; the first is in every token of a sign-in through the API.
_SIGN_IN = "aws.cognito.signin.user.admin"
_OIDC = frozenset({"openid", "email", "phone", "profile", _SIGN_IN})
#: Members of DescribeUserPoolClient that UpdateUserPoolClient rejects; the secret must not be printed either.
_TOLD_ONLY = ("ClientSecret", "CreationDate", "LastModifiedDate")


def pool(stack: Stack) -> Iterator[Finding]:
    pool_id = pool_id_of(stack)
    described = described_pool(stack)
    if described is None:
        others = cognito(stack).list_user_pools(MaxResults=60)["UserPools"]
        wanted = _one_of({each["Id"]: each["Name"] for each in others})
        why = "tokens cannot be verified, because the pool's keys do not exist"
        fix = (
            stack.setting("cognito_user_pool_id", others[0]["Id"])
            if others
            else cognito_command(stack, "create-user-pool", "--pool-name lambda-router")
        )
        yield Finding("user pool", False, f"no {pool_id} in this account and region", wanted, why, fix)
        return
    yield Finding("user pool", ok=True, found=f"{pool_id} ({described['Name']})")
    arn = stack.text("cognito_user_pool_arn")
    if arn != described["Arn"]:
        why = "API Gateway's authorizer and the function would use different pools"
        fix = stack.setting("cognito_user_pool_arn", described["Arn"])
        yield Finding("user pool's ARN", False, arn or "none", described["Arn"], why, fix)


def clients(stack: Stack) -> Iterator[Finding]:
    """Check that each id in COGNITO_AUD is one of the pool's clients."""
    pool_id, given, known = pool_id_of(stack), list(commas(stack.text("cognito_aud"))), clients_of(stack)
    why = "COGNITO_AUD is compared with the client_id of each token: your callers' tokens would get 401"
    options = (
        f"--user-pool-id {pool_id} --client-name lambda-router --generate-secret"
        f" --allowed-o-auth-flows client_credentials --allowed-o-auth-scopes {stack.text('router_scope')}"
        " --allowed-o-auth-flows-user-pool-client"
    )
    for client in given:
        if client in known:
            yield Finding(f"client {client}", ok=True, found=known[client])
            continue
        nearest = next(iter(difflib.get_close_matches(client, known, n=1) or known), "")
        mended = ",".join(dict.fromkeys(nearest if each == client else each for each in given))
        create = cognito_command(stack, "create-user-pool-client", options)
        fix = stack.setting("cognito_aud", mended) if known else create
        found = f"user pool {pool_id} has no such client"
        yield Finding(f"client {client} of COGNITO_AUD", False, found, _one_of(known), why, fix)


def scope(stack: Stack) -> Iterator[Finding]:
    """Check that the pool knows the scope, and that the clients may request it."""
    wanted = stack.text("router_scope")
    fault = None if wanted in _OIDC else _unknown_scope(stack, wanted)
    if fault is not None:
        yield fault
        return
    yield Finding("scope", ok=True, found=f"{wanted} is the pool's")
    if wanted == _SIGN_IN:
        return
    known, why = clients_of(stack), "Cognito rejects its requests for a token with invalid_scope"
    for client in (each for each in commas(stack.text("cognito_aud")) if each in known):
        told = cognito(stack).describe_user_pool_client(UserPoolId=pool_id_of(stack), ClientId=client)["UserPoolClient"]
        allowed = told.get("AllowedOAuthScopes", []) if told.get("AllowedOAuthFlowsUserPoolClient") else []
        if wanted in allowed:
            yield Finding(f"scope of client {client}", ok=True, found=wanted)
            continue
        fix = _allowing(stack, told, wanted)
        yield Finding(f"scope of client {client}", False, ", ".join(allowed) or "none", wanted, why, fix)


def _unknown_scope(stack: Stack, wanted: str) -> Finding | None:
    identifier, _, name = wanted.rpartition("/")
    why = "no client can get a token with that scope, so every request would be rejected"
    new = {"ScopeName": name, "ScopeDescription": "Send and read jobs"}
    pools = cognito(stack)
    try:
        server = pools.describe_resource_server(UserPoolId=pool_id_of(stack), Identifier=identifier)
    except pools.exceptions.ResourceNotFoundException:
        fix = _server(stack, "create-resource-server", identifier, identifier, [new])
        return Finding("scope", False, f"no resource server {identifier!r}", wanted, why, fix)
    described = server["ResourceServer"]
    scopes = described.get("Scopes", [])
    if name in {each["ScopeName"] for each in scopes}:
        return None
    fix = _server(stack, "update-resource-server", identifier, described["Name"], [*scopes, new])
    found = ", ".join(f"{identifier}/{each['ScopeName']}" for each in scopes) or f"{identifier} has no scopes"
    return Finding("scope", False, found, wanted, why, fix)


def _allowing(stack: Stack, told: dict[str, Any], scope: str) -> str:
    """Return the command that adds a scope."""
    flows = told.get("AllowedOAuthFlows") or ["client_credentials" if told.get("ClientSecret") else "code"]
    scopes = [*told.get("AllowedOAuthScopes", []), scope]
    changed = {"AllowedOAuthFlows": flows, "AllowedOAuthFlowsUserPoolClient": True, "AllowedOAuthScopes": scopes}
    return changing(stack, told, changed)


def changing(stack: Stack, told: dict[str, Any], changed: dict[str, Any]) -> str:
    """Return the command that changes a client, with the whole client: UpdateUserPoolClient resets omitted members."""
    kept = {name: value for name, value in told.items() if name not in _TOLD_ONLY}
    document = shlex.quote(json.dumps(kept | changed))
    return cognito_command(stack, "update-user-pool-client", f"--cli-input-json {document}")


def described_pool(stack: Stack) -> dict[str, Any] | None:
    pools = cognito(stack)
    try:
        described: dict[str, Any] = pools.describe_user_pool(UserPoolId=pool_id_of(stack))["UserPool"]
    except pools.exceptions.ResourceNotFoundException:
        return None
    return described


def clients_of(stack: Stack) -> dict[str, str]:
    """Return the names of the pool's clients, by id."""
    pages = cognito(stack).get_paginator("list_user_pool_clients").paginate(UserPoolId=pool_id_of(stack))
    return {each["ClientId"]: each["ClientName"] for page in pages for each in page["UserPoolClients"]}


def _server(stack: Stack, command: str, identifier: str, name: str, scopes: list[dict[str, str]]) -> str:
    options = f"--user-pool-id {pool_id_of(stack)} --identifier {identifier} --name {shlex.quote(name)}"
    return cognito_command(stack, command, f"{options} --scopes {shlex.quote(json.dumps(scopes))}")


def cognito(stack: Stack) -> Any:
    return stack.aws("cognito-idp", _region(stack))


def pool_id_of(stack: Stack) -> str:
    return stack.text("cognito_user_pool_id")


def _region(stack: Stack) -> str:
    """Return the region that the pool's id begins with."""
    return pool_id_of(stack).partition("_")[0]


def cognito_command(stack: Stack, command: str, options: str) -> str:
    return f"aws cognito-idp {command} --region {_region(stack)} {options}"


def _one_of(names: dict[str, str]) -> str:
    return "one of " + ", ".join(f"{each} ({name})" for each, name in names.items()) if names else "one; none exists"
