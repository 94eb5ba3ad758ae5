"""Protected resource metadata (RFC 9728): from the address of the API to the user pool that issues its tokens."""

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import unquote

from chalicelib.errors import MalformedRequest
from chalicelib.setting_values import LOOPBACK_HOSTS
from chalicelib.user_pool import PoolSettings

PATH = "/.well-known/oauth-protected-resource"
#: The same for everybody, and another only after a release.
CACHE_CONTROL = "public, max-age=300"

#: A host with its port, if it has one. Other text must not get into the response.
_AUTHORITY = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?", re.ASCII)
#: What API Gateway allows in a stage or a base path, with the characters of RFC 3986 that need no quotes.
_PREFIX = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*", re.ASCII)


def metadata(base: str | None, settings: PoolSettings, scopes: Collection[str]) -> dict[str, Any]:
    """Return the document for the API at that address; ``scopes`` are those of single job types.

    Raises:
        MalformedRequest: the request does not show which address the caller used.
    """
    if base is None:
        raise MalformedRequest("The address of this API cannot be told from the request: send one Host header.")
    document = {
        "resource": base,
        "authorization_servers": [settings.issuer],
        "scopes_supported": sorted({settings.router_scope, *scopes}),
        "bearer_methods_supported": ["header"],
    }
    client_id = settings.cognito_login_client_id
    return document | ({"lambda_router_client_id": client_id} if client_id else {})


def pointer(base: str | None) -> str:
    """Return the parameter of ``WWW-Authenticate`` that names the document (RFC 9728 section 5.1)."""
    return "" if base is None else f', resource_metadata="{base}{PATH}"'


def base_url(context: Mapping[str, Any], host: str | None, route: str) -> str | None:
    """Return the address of the API as the caller used it, with a stage or a custom domain's base path, if any.

    None if the request does not show it. ``domainName`` is API Gateway's own knowledge. ``chalice local`` sends none,
    so there the caller's ``Host`` counts.

    Args:
        context: the event's ``requestContext``.
        route: the request's route, with names for path parameters.
    """
    authority = context.get("domainName") or host or ""
    match, prefix = _AUTHORITY.fullmatch(authority), path_prefix(context["path"], route)
    if match is None or prefix is None:
        return None
    scheme = "http" if match[1].strip("[]") in LOOPBACK_HOSTS else "https"
    return f"{scheme}://{authority}{prefix}"


def path_prefix(path: str, route: str) -> str | None:
    """Return what stands before the route in a path; None if the path does not end in the route."""
    whole, wanted = path.rstrip("/").split("/"), route.rstrip("/").split("/")[1:]
    before, tail = whole[: len(whole) - len(wanted)], whole[len(whole) - len(wanted) :]
    if len(whole) < len(wanted) or not all(
        name.startswith("{") or unquote(found) == name for found, name in zip(tail, wanted, strict=True)
    ):
        return None
    prefix = "/".join(before)
    return prefix if _PREFIX.fullmatch(prefix) else None
