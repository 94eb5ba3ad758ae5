"""Discovery: from a server's address to its issuer's endpoints (RFC 9728, then OpenID Connect Discovery)."""

from dataclasses import dataclass
from typing import Any

from lambda_router import addresses, http
from lambda_router.addresses import is_private_way
from lambda_router.errors import BadServer, ServerAway

_MAX_TEXT = 2_048


@dataclass(frozen=True)
class Discovery:
    """What a server and its issuer say of themselves.

    Attributes:
        resource: the server's address, as it was typed but normalised.
        client_id: the public client of people; empty if the server names none.
        promises_iss: whether answers of the authorization endpoint carry ``iss`` (RFC 9207).
        authorization_endpoint: empty where the issuer has no login page.
    """

    resource: str
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str
    client_id: str
    scopes: tuple[str, ...]
    promises_iss: bool


def discover(typed: str) -> Discovery:
    """Ask a server who issues its tokens, and that issuer where.

    Raises:
        BadServer: the address is none, or a document is missing, is another's, or names an unencrypted place.
        ServerAway: a server cannot be reached.
    """
    url = addresses.normalised(typed)
    resource = _resource(url)
    issuer = _issuer(resource, url)
    metadata = _metadata(issuer)
    return Discovery(
        resource=url,
        issuer=issuer,
        authorization_endpoint=_endpoint(url, metadata, "authorization_endpoint", required=False),
        token_endpoint=_endpoint(url, metadata, "token_endpoint", required=True),
        revocation_endpoint=_endpoint(url, metadata, "revocation_endpoint", required=False),
        client_id=_text(resource.get("lambda_router_client_id")),
        scopes=tuple(scope for scope in _list(resource.get("scopes_supported")) if scope == _text(scope)),
        promises_iss=metadata.get("authorization_response_iss_parameter_supported") is True,
    )


def _resource(url: str) -> dict[str, Any]:
    for place in addresses.metadata_places(url):
        response = http.get(place)
        if response.status >= 500 or response.status == 429:
            raise ServerAway(f"{url} answered with {response.status}: try again later")
        if response.status == 200 and response.body is not None and "resource" in response.body:
            return _own(response.body, url)
    raise BadServer(
        f"{url} does not say who issues its tokens (no {addresses.metadata_places(url)[-1]}):"
        " check the address; a stage's path, such as /prod, belongs to it"
    )


def _own(document: dict[str, Any], url: str) -> dict[str, Any]:
    """Return the document if it is this server's: RFC 9728, section 3.3, forbids using another's."""
    named = document["resource"]
    try:
        is_own = addresses.normalised(named) == url
    except (BadServer, AttributeError):
        is_own = False
    if not is_own:
        shown = named if isinstance(named, str) and len(named) < 200 else "something else"
        raise BadServer(f"{url} calls itself {shown!r}: use that address if you trust it")
    return document


def _issuer(resource: dict[str, Any], url: str) -> str:
    issuers = _list(resource.get("authorization_servers"))
    issuer = _text(issuers[0]) if issuers else ""
    if not is_private_way(issuer, url):
        raise BadServer(f"{url} names no issuer with https: its owner must correct authorization_servers")
    return issuer


def _metadata(issuer: str) -> dict[str, Any]:
    response = http.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if response.status >= 500 or response.status == 429:
        raise ServerAway(f"the issuer {issuer} answered with {response.status}: try again later")
    if response.status != 200 or response.body is None:
        raise BadServer(f"the issuer {issuer} has no /.well-known/openid-configuration: its owner must correct it")
    if response.body.get("issuer") != issuer:
        raise BadServer(f"the issuer {issuer} calls itself something else: do not log in, and tell its owner")
    return response.body


def _endpoint(url: str, metadata: dict[str, Any], name: str, *, required: bool) -> str:
    found = metadata.get(name)
    if found is None and not required:
        return ""
    if not is_private_way(_text(found), url):  # it is shown on a terminal, too
        raise BadServer(f"the issuer's {name} is missing, not https or on this machine: its owner must correct it")
    return str(found)


def _text(found: object) -> str:
    return found if isinstance(found, str) and found.isprintable() and len(found) <= _MAX_TEXT else ""


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []
