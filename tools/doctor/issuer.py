"""The user pool's issuer: whether API Gateway and the function accept its tokens and find its keys."""

import json
import shlex
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from chalicelib.user_pool import ISSUER_HOSTS, issuers_of, key_address
from tools.doctor.cognito import cognito, cognito_command, described_pool, pool_id_of
from tools.stack.configured import Stack, commas
from tools.stack.findings import Finding, compared

_TIMEOUT_SECONDS = 5.0
_USUAL = "ORIGINAL"
#: Returned by DescribeUserPool, but rejected together with the policies:
#: https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUserConfigType.html
_RETIRED = "UnusedAccountValidityDays"


def issuer(stack: Stack) -> Iterator[Finding]:
    """Check the issuer by the pool's description, and by its discovery document if that can be fetched."""
    described = described_pool(stack)
    if described is None:
        return
    kind = described.get("IssuerConfiguration", {}).get("Type", _USUAL)
    yield _type(stack, described, kind)
    try:
        told = _discovery(stack, kind)
    except (OSError, ValueError) as error:
        yield Finding("issuer", ok=True, found=f"of type {kind}; cannot fetch its discovery document: {error}")
        return
    found, added = str(told.get("issuer")), list(commas(stack.text("cognito_issuer")))
    taken = [*added, *issuers_of(pool_id_of(stack)).values()]
    why = "the function compares each token's iss with these: callers would get 401"
    fix = stack.setting("cognito_issuer", ",".join([*added, found]))
    yield compared("issuer", found, found if found in taken else "one of " + ", ".join(taken), why=why, fix=fix)
    if not stack.text("cognito_jwks"):
        found, wanted = str(told.get("jwks_uri")), key_address(_address(stack, kind))
        why = "the function would look for the pool's keys at the wrong address: 503"
        yield compared("signing keys", found, wanted, why=why, fix=stack.setting("cognito_jwks", found))


def _type(stack: Stack, described: dict[str, Any], kind: str) -> Finding:
    if kind == _USUAL:
        return Finding("issuer type", ok=True, found=kind)
    why = (
        "API Gateway's Cognito authorizer rejects such tokens (AWS's Developer Guide, user pools as an OIDC issuer):"
        " callers would get 401, and the function would not run; docs/decisions/0048-both-issuers-of-the-pool.md"
    )
    # The fix sends the whole pool: UpdateUserPool resets omitted members.
    taken = cognito(stack).meta.service_model.operation_model("UpdateUserPool").input_shape.members
    kept = {name: value for name, value in described.items() if name in taken and value not in (None, {}, [], "")}
    if _RETIRED in kept.get("AdminCreateUserConfig", {}):
        kept["AdminCreateUserConfig"] = {k: v for k, v in kept["AdminCreateUserConfig"].items() if k != _RETIRED}
    changed = kept | {"UserPoolId": pool_id_of(stack), "IssuerConfiguration": {"Type": _USUAL}}
    fix = cognito_command(stack, "update-user-pool", f"--cli-input-json {shlex.quote(json.dumps(changed))}")
    return Finding("issuer type", False, kind, _USUAL, why, fix)


def _address(stack: Stack, kind: str) -> str:
    """Return the issuer's address: the AWS client's endpoint of Cognito, with the host of that issuer type."""
    endpoint = str(cognito(stack).meta.endpoint_url)
    host = ISSUER_HOSTS.get(kind, ISSUER_HOSTS[_USUAL])
    return f"{endpoint.replace(f'//{ISSUER_HOSTS[_USUAL]}.', f'//{host}.')}/{pool_id_of(stack)}"


def _discovery(stack: Stack, kind: str) -> dict[str, Any]:
    """Return the discovery document (OpenID Connect Discovery 1.0, section 4)."""
    url = f"{_address(stack, kind)}/.well-known/openid-configuration"
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  the AWS client's own endpoint
        told = json.load(answer)
    if not isinstance(told, dict):
        raise ValueError("it is not a JSON object")
    return told
