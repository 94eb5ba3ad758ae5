"""Headers that pass, either way. What belongs to one connection or one host stays behind (RFC 9110, 7.6.1)."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from lambda_router.servers import Server

RawHeaders = list[tuple[bytes, bytes]]

_OF_A_CONNECTION = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
}  # fmt: skip
#: The caller's own: the key, what a browser adds, and claims about where a request came from.
_OF_THE_CALLER = {
    b"authorization", b"cookie", b"expect", b"forwarded", b"host", b"origin", b"referer", b"via", b"x-real-ip",
}  # fmt: skip
#: The server's own: they would speak for this machine.
_OF_THE_SERVER = {b"alt-svc", b"clear-site-data", b"location", b"set-cookie", b"strict-transport-security"}


def for_server(sent: RawHeaders, token: str) -> RawHeaders:
    """Return a request's headers as the server gets them, with the token."""
    kept = [
        (name, value)
        for name, value in _without_connection(sent)
        if name not in _OF_THE_CALLER and not name.startswith((b"x-forwarded-", b"sec-", b"access-control-"))
    ]
    return [*kept, (b"authorization", b"Bearer " + token.encode())]


def for_caller(answered: RawHeaders, server: Server, prefix: str) -> RawHeaders:
    """Return an answer's headers as the caller gets them. An address of the server's becomes one of the proxy's.

    Args:
        prefix: what the proxy's paths have before ``/v1``.
    """
    kept = [
        (name, value)
        for name, value in _without_connection(answered)
        if name not in _OF_THE_SERVER and not name.startswith(b"access-control-")
    ]
    for name, value in answered:
        place = _below(server, value.decode("latin-1")) if name.lower() == b"location" else None
        if place is not None:
            kept.append((b"location", f"{prefix}/v1/{place}".encode("latin-1")))
    return kept


def _without_connection(headers: RawHeaders) -> RawHeaders:
    named = set(_names(value for name, value in headers if name.lower() == b"connection"))
    # Framing is never one connection's own business for a caller to take away.
    dropped = (_OF_A_CONNECTION | named) - {b"content-length"}
    return [(name.lower(), value) for name, value in headers if name.lower() not in dropped]


def _names(values: Iterable[bytes]) -> Iterable[bytes]:
    for value in values:
        yield from (name.strip().lower() for name in value.split(b","))


def _below(server: Server, location: str) -> str | None:
    base = urlsplit(server.base_url)
    for start in (f"{server.base_url}/", f"{base.path}/"):
        if location.startswith(start):
            return location.removeprefix(start)
    return None
