"""Pinning: a server keeps the issuer of its first login, and a change is refused."""

from lambda_router import servers
from lambda_router.discovery import Discovery, discover
from lambda_router.errors import BadServer, UnknownServer
from lambda_router.servers import NAME, Server, ServerList


def address_of(typed: str) -> str:
    """Return the address of a known server's name; anything else is an address already."""
    known = servers.load().named(typed)
    return known.url if known else typed


def pinned(discovery: Discovery, name: str | None = None) -> Server:
    """Return the server that was discovered, under its old name, the one given, or a new one. Nothing is stored.

    Raises:
        BadServer: its issuer is not that of the first login.
        UnknownServer: the name is unusable, or another server's.
    """
    known = servers.load()
    old = known.at(discovery.resource)
    _require_issuer(old, discovery.issuer)
    return Server(
        name=_name(known, discovery, old, name),
        url=discovery.resource,
        issuer=discovery.issuer,
        client_id=discovery.client_id,
        scopes=discovery.scopes,
        token_endpoint=discovery.token_endpoint,
        revocation_endpoint=discovery.revocation_endpoint,
    )


def _require_issuer(old: Server | None, issuer: str) -> None:
    if old and old.issuer != issuer:
        raise BadServer(
            f"the issuer of {old.name} was {old.issuer} and is now {issuer}. If its owner confirms that:"
            f" lambda-router servers remove {old.name}, then log in again"
        )


def _name(known: ServerList, discovery: Discovery, old: Server | None, wanted: str | None) -> str:
    if old:
        if wanted not in {None, old.name}:
            raise UnknownServer(
                f"{old.url} is known as {old.name}: use that, or lambda-router servers remove {old.name}"
            )
        return old.name
    if wanted is None:
        return servers.name_for(discovery.resource, (each.name for each in known.servers))
    if not NAME.fullmatch(wanted):
        raise UnknownServer(
            f"{wanted!r} is not a valid name: use up to 63 lower-case letters, digits, _ and -,"
            " with a letter or digit first"
        )
    if taken := known.named(wanted):
        raise UnknownServer(f"the name {wanted} is that of {taken.url}: give another --name")
    return wanted


def remember(server: Server) -> None:
    """Put a server into the list, or replace it.

    A login takes minutes, and another one may have ended meanwhile.

    Raises:
        BadServer: that one pinned another issuer.
        UnknownServer: it took the name for another server, or gave this one another name.
        BadStorage: the list cannot be read or written.
    """
    with servers.changing():
        known = servers.load()
        _require_issuer(known.at(server.url), server.issuer)
        named, old = known.named(server.name), known.at(server.url)
        if (named and named.url != server.url) or (old and old.name != server.name):
            raise UnknownServer(f"another login took {server.name} or {server.url} meanwhile: log in again")
        servers.save(known.with_server(server))


def remembered(typed: str) -> Server:
    """Discover the server of a machine at its first use, and remember it.

    Raises:
        KitError: it cannot be discovered, or its issuer changed.
    """
    server = pinned(discover(typed))
    remember(server)
    return server
