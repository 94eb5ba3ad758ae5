"""The list of servers that this user logged in to, each with what was pinned at the first login."""

import json
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lambda_router import environment, private_files
from lambda_router.addresses import is_loopback, normalised
from lambda_router.errors import BadServer, BadStorage, KitError, UnknownServer

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_LOCAL_PORT = 8000
_FORMAT = 1


@dataclass(frozen=True)
class Server:
    """A server, and who issues its tokens.

    Attributes:
        name: this user's name for it, without a slash.
        url: its address, without a trailing slash; the OpenAI API is below ``/v1``.
        issuer: the issuer of tokens, pinned at the first login.
        client_id: the public client of people, empty if the server names none.
        scopes: what tokens are asked for.
        revocation_endpoint: empty if the issuer has none.
    """

    name: str
    url: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    token_endpoint: str
    revocation_endpoint: str = ""

    @property
    def base_url(self) -> str:
        """Address for clients of the OpenAI API."""
        return f"{self.url}/v1"


@dataclass(frozen=True)
class ServerList:
    """All servers in the order of their first login, and the name of the default."""

    servers: tuple[Server, ...] = ()
    default: str | None = None

    def named(self, name: str) -> Server | None:
        """Return the server of that name."""
        return next((each for each in self.servers if each.name == name), None)

    def at(self, url: str) -> Server | None:
        """Return the server at that address, which must be normalised."""
        return next((each for each in self.servers if each.url == url), None)

    def with_server(self, server: Server) -> "ServerList":
        """Return the list with a server put in, or replaced; the first one becomes the default."""
        if self.named(server.name) is None:
            return ServerList((*self.servers, server), self.default or server.name)
        kept = tuple(server if each.name == server.name else each for each in self.servers)
        return replace(self, servers=kept)

    def without(self, name: str) -> "ServerList":
        """Return the list without a server; the first of the others becomes the default if it was."""
        kept = tuple(each for each in self.servers if each.name != name)
        first = kept[0].name if kept else None
        return ServerList(kept, first if self.default == name else self.default)


def load() -> ServerList:
    """Return the list as it is on the disk. Raises BadStorage."""
    content = private_files.read(_path())
    if content is None:
        return ServerList()
    # Whoever changes it names the endpoint to which refresh tokens go.
    if private_files.others_may(_path(), 0o002):
        raise BadStorage(f"others can change {_path()}: remove it and log in again, or make it yours and chmod 600 it")
    try:
        found = json.loads(content)
        if found["format"] != _FORMAT:
            raise BadStorage(f"{_path()} is of another version of lambda-router: install that, or remove the file")
        known = ServerList(tuple(map(_server, found["servers"])), found["default"])
        if not isinstance(known.default, str | None):
            raise TypeError("the default is no name")
        return known
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadStorage(f"{_path()} is damaged: remove it and log in again") from None


def _server(found: dict[str, Any]) -> Server:
    known = {each.name: found[each.name] for each in fields(Server)}
    scopes = known.pop("scopes")
    if not isinstance(scopes, list) or not all(isinstance(each, str) for each in [*known.values(), *scopes]):
        raise TypeError("a member is no text")
    return Server(**known, scopes=tuple(scopes))


def save(servers: ServerList) -> None:
    """Replace the list. Hold ``changing()`` from the load to here. Raises BadStorage."""
    content = {"format": _FORMAT, "default": servers.default, "servers": [asdict(each) for each in servers.servers]}
    private_files.write(_path(), json.dumps(content, indent=2).encode())


def changing() -> AbstractContextManager[None]:
    """Return the lock under which the list is loaded, changed and saved."""
    return private_files.locked(environment.data_folder() / "servers.lock", 30)


def find(wanted: str | None = None) -> Server:
    """Return the server of that name or address, else that of LAMBDA_ROUTER_SERVER, else the default.

    Raises:
        UnknownServer: there is none such.
    """
    known = load()
    wanted = wanted or environment.chosen_server() or known.default
    if wanted is None:
        raise UnknownServer("no server is known here: run lambda-router login URL")
    found = known.named(wanted) or _by_address(known, wanted)
    if found is None:
        names = ", ".join(each.name for each in known.servers) or "none"
        raise UnknownServer(f"server {wanted!r} is unknown (known: {names}): run lambda-router login URL")
    return found


def option_for(server: Server) -> str:
    """Return the option by which a command that is printed reaches this server; empty if it does without."""
    with suppress(KitError):
        if find() == server:
            return ""
    return f" --server {server.name}"


def _by_address(known: ServerList, wanted: str) -> Server | None:
    try:
        return known.at(normalised(wanted))
    except BadServer:
        return None


def name_for(url: str, taken: Iterable[str]) -> str:
    """Return a name for a new server: its host's first label and its stage, and a number if that is taken."""
    parts = urlsplit(url)
    if is_loopback(parts.hostname):
        words = ["local", *([str(parts.port)] if parts.port != _LOCAL_PORT and parts.port else [])]
    else:
        words = [(parts.hostname or "").split(".")[0]]
    words += parts.path.strip("/").split("/")[-1:]
    stem = re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")[:48] or "server"
    used = set(taken)
    return next(name for name in (stem, *(f"{stem}-{number}" for number in range(2, 1_000))) if name not in used)


def _path() -> Path:
    return environment.config_folder() / "servers.json"
