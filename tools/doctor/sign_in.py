"""The clients with which people sign in: they exist, have no secret, and do what ``lambda-router login`` and the API's
pages need.
"""

from collections.abc import Iterator
from typing import Any

from chalicelib.partitions import partition_of
from tools.doctor.cognito import changing, clients_of, cognito, described_pool, pool_id_of
from tools.doctor.parameters import value_of
from tools.doctor.redirects import LOGIN_REDIRECTS, page_redirects
from tools.stack.backend import Backend, StateFile
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


def pages(stack: Stack) -> Iterator[Finding]:
    """Check the sign-in at the API's pages, as far as it is set; without it, they take a token."""
    if stack.text("router_docs") != "true":
        return
    domain = stack.text("cognito_domain")
    if not domain:
        yield Finding("pages", ok=True, found="without a sign-in, as cognito_domain is not set")
        return
    yield from _domain(stack, domain)
    client, address = _pages_client(stack), _address(stack)
    if client not in clients_of(stack):
        yield Finding(
            "pages' client", ok=True, found="none yet: the pages take a token (terraform/modules/pages_client)"
        )
        return
    told = _described(stack, client)
    yield from _page_scopes(stack, told)
    if not address:
        yield Finding("pages' client", ok=True, found=f"{client}; its redirects follow from the API's address")
    else:
        yield from _page_addresses(stack, told, address)


def _domain(stack: Stack, domain: str) -> Iterator[Finding]:
    described = described_pool(stack)
    if described is None:
        return
    its = [f"https://{described['CustomDomain']}"] if described.get("CustomDomain") else []
    its += [f"https://{described['Domain']}.{_login_host(stack)}"] if described.get("Domain") else []
    why = "the pages send people to sign in where this pool does not answer"
    fix = stack.setting("cognito_domain", its[0] if its else "")
    yield compared(
        "domain of the pages", domain, domain if domain in its else " or ".join(its) or "none", why=why, fix=fix
    )


def _login_host(stack: Stack) -> str:
    """Return the end of the host of a pool's domain, as ``terraform/modules/cognito`` has it."""
    region = pool_id_of(stack).partition("_")[0]
    return {
        "aws-us-gov": f"auth-fips.{region}.amazoncognito.com",
        "aws-eusc": f"auth.cognito-idp.{region}.on.amazonwebservices.eu",
    }.get(partition_of(region).name, f"auth.{region}.amazoncognito.com")


def _pages_client(stack: Stack) -> str:
    """Return the id of the client that the pages use; empty if there is none yet."""
    name = stack.text("cognito_aud_parameter")
    return next(commas(value_of(stack, name) or ""), "") if name else stack.text(_SETTING)


def _address(stack: Stack) -> str:
    """Return the API's address with a ``/`` at its end; empty before the first apply."""
    state: StateFile | Backend | None = stack.state_file
    kept = stack.backend
    if state is None and kept:
        state = Backend(kept["bucket"], kept["key"], kept.get("region") or stack.region, stack.aws)
    outputs = state.outputs() if state is not None else {}
    url = outputs.get("api_url") or outputs.get("stack", {}).get("api_url")
    return f"{url.rstrip('/')}/" if url else ""


def _page_scopes(stack: Stack, told: dict[str, Any]) -> Iterator[Finding]:
    allowed, asked = told.get("AllowedOAuthScopes", []), ("openid", stack.text("router_scope"))
    absent = [scope for scope in asked if scope not in allowed]
    why = "Cognito answers people who sign in at the pages with invalid_scope"
    fix = changing(stack, told, {"AllowedOAuthScopes": [*allowed, *absent]})
    found = f"without {', '.join(absent)}" if absent else ", ".join(asked)
    yield compared("pages' scopes", found, ", ".join(asked), why=why, fix=fix)


def _page_addresses(stack: Stack, told: dict[str, Any], address: str) -> Iterator[Finding]:
    given = {"CallbackURLs": page_redirects(address), "LogoutURLs": (address,)}
    missing = {name: [url for url in urls if url not in told.get(name, [])] for name, urls in given.items()}
    absent = [url for urls in missing.values() for url in urls]
    wanted = ", ".join(page_redirects(address))
    if not absent:
        yield Finding("pages' redirects", ok=True, found=wanted)
        return
    why = "Cognito compares them as text, and answers people at the pages with redirect_mismatch"
    changed = {name: [*told.get(name, []), *urls] for name, urls in missing.items()}
    fix = changing(stack, told, changed)
    yield Finding("pages' redirects", False, f"without {', '.join(dict.fromkeys(absent))}", wanted, why, fix)


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
