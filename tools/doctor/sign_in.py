"""The client with which people sign in: it exists, has no secret, and does what ``lambda-router login`` needs."""

from collections.abc import Iterator
from typing import Any

from tools.doctor.cognito import changing, clients_of, cognito, pool_id_of
from tools.doctor.redirects import LOGIN_REDIRECTS
from tools.stack.configured import Stack, commas
from tools.stack.findings import Finding, compared

_SETTING = "cognito_login_client_id"


def sign_in_client(stack: Stack) -> Iterator[Finding]:
    """Check the client of COGNITO_LOGIN_CLIENT_ID; without one, there is nothing to check."""
    client = stack.text(_SETTING)
    if not client:
        return
    known, thing = clients_of(stack), f"sign-in client {client}"
    if client not in known:
        wanted = (
            "one of " + ", ".join(f"{each} ({name})" for each, name in known.items()) if known else "one; none exists"
        )
        why = "people are sent to Cognito with the id of a client that it does not know"
        fix = stack.setting(_SETTING, next(iter(_public(stack, known)), ""))
        yield Finding(thing, False, f"user pool {pool_id_of(stack)} has no such client", wanted, why, fix)
        return
    told = _described(stack, client)
    if told.get("ClientSecret"):
        why = "a program on a person's machine cannot keep a secret, so `lambda-router login` sends none"
        fix = stack.setting(_SETTING, next(iter(_public(stack, known)), ""))
        yield Finding(thing, False, "a client with a secret", "a client without one", why, fix)
        return
    yield Finding(thing, ok=True, found=known[client])
    yield from _flow(stack, told)
    yield from _redirects(stack, told)
    if client not in commas(stack.text("cognito_aud")):
        yield from _scope(stack, told)


def _flow(stack: Stack, told: dict[str, Any]) -> Iterator[Finding]:
    flows = told.get("AllowedOAuthFlows", []) if told.get("AllowedOAuthFlowsUserPoolClient") else []
    fix = changing(
        stack,
        told,
        {
            "AllowedOAuthFlows": ["code"],
            "AllowedOAuthFlowsUserPoolClient": True,
            "AllowedOAuthScopes": told.get("AllowedOAuthScopes") or ["openid", stack.text("router_scope")],
            "CallbackURLs": _all_redirects(told),
            "SupportedIdentityProviders": told.get("SupportedIdentityProviders") or ["COGNITO"],
        },
    )
    why = "Cognito answers people who sign in with unauthorized_client"
    found = "code" if "code" in flows else ", ".join(flows) or "none"
    yield compared("its grant", found, "code", why=why, fix=fix)


def _redirects(stack: Stack, told: dict[str, Any]) -> Iterator[Finding]:
    missing = [each for each in LOGIN_REDIRECTS if each not in told.get("CallbackURLs", [])]
    found = f"without {', '.join(missing)}" if missing else "the five addresses of `lambda-router login`"
    if not missing:
        yield Finding("its redirects", ok=True, found=found)
        return
    why = "Cognito compares them as text, and answers with redirect_mismatch"
    fix = changing(stack, told, {"CallbackURLs": _all_redirects(told)})
    yield Finding("its redirects", False, found, ", ".join(LOGIN_REDIRECTS), why, fix)


def _scope(stack: Stack, told: dict[str, Any]) -> Iterator[Finding]:
    """Check the scope; that of the clients in COGNITO_AUD is checked with theirs."""
    wanted, allowed = stack.text("router_scope"), told.get("AllowedOAuthScopes", [])
    why = "Cognito rejects its requests for a token with invalid_scope"
    fix = changing(stack, told, {"AllowedOAuthScopes": [*allowed, wanted]})
    found = wanted if wanted in allowed else ", ".join(allowed) or "none"
    yield compared("its scope", found, wanted, why=why, fix=fix)


def _all_redirects(told: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys([*told.get("CallbackURLs", []), *LOGIN_REDIRECTS]))


def _public(stack: Stack, known: dict[str, str]) -> Iterator[str]:
    """Yield the pool's clients for people."""
    for client in known:
        told = _described(stack, client)
        if not told.get("ClientSecret") and "code" in told.get("AllowedOAuthFlows", []):
            yield client


def _described(stack: Stack, client: str) -> dict[str, Any]:
    pools = cognito(stack)
    told: dict[str, Any] = pools.describe_user_pool_client(UserPoolId=pool_id_of(stack), ClientId=client)[
        "UserPoolClient"
    ]
    return told
