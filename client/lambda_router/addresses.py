"""Addresses of servers: normalised, and https unless they are on this machine."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from lambda_router.errors import BadServer

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_WELL_KNOWN = "/.well-known/oauth-protected-resource"


def normalised(typed: str) -> str:
    """Return a server's address without a trailing slash, and without the ``/v1`` of a ``base_url``.

    Without a scheme it is https, or http on this machine, where ``make run`` serves.

    Raises:
        BadServer: it is no http(s) address, has a query or a password, or is plain http to another machine.
    """
    text = typed.strip()
    try:
        parts = urlsplit(text if _SCHEME.match(text) else f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    scheme = parts.scheme or ("http" if is_loopback(host) else "https")
    if not host or scheme not in {"http", "https"} or re.search(r"[\s\\]", text):
        raise BadServer(f"{typed!r} is not the address of a server: give https://host/path")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise BadServer("the address has a query, a fragment or a password: give https://host/path only")
    if scheme == "http" and not is_loopback(host):
        raise BadServer(f"{typed!r} would send tokens unencrypted: use https (http is for this machine only)")
    place = f"[{host}]" if ":" in host else host
    if port is not None and port != {"http": 80, "https": 443}[scheme]:
        place = f"{place}:{port}"
    path = parts.path.rstrip("/")
    return f"{scheme}://{place}{path.removesuffix('/v1').rstrip('/')}"


def is_loopback(host: str | None) -> bool:
    """Return whether a host is this machine: ``localhost`` or a loopback address."""
    if host is None:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private_way(url: object, server: str) -> bool:
    """Return whether secrets of a server may be sent to an endpoint: https, or this machine if the server is on it.

    A server elsewhere could otherwise let the kit, and the browser, ask programs of this machine (SSRF, RFC 9728,
    section 7).
    """
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if "@" in parts.netloc or not parts.hostname:
        return False
    if is_loopback(parts.hostname):
        return parts.scheme in {"http", "https"} and is_loopback(urlsplit(server).hostname)
    return parts.scheme == "https"


def metadata_places(url: str) -> list[str]:
    """Return where a server's metadata may be, RFC 9728's place first.

    RFC 9728 puts the document between host and path. The gateway of a stage serves only what is below the stage's path.
    """
    parts = urlsplit(url)
    rfc = f"{parts.scheme}://{parts.netloc}{_WELL_KNOWN}{parts.path}"
    return list(dict.fromkeys([rfc, f"{url}{_WELL_KNOWN}"]))
