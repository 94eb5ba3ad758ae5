"""Choice of the server for a request, and the one list of models."""

import re
from collections.abc import Callable
from typing import Any

import anyio

from lambda_router import servers
from lambda_router.errors import KitError
from lambda_router.proxy.id_memory import IdMemory
from lambda_router.proxy.refusals import Refused, refusal_of
from lambda_router.proxy.targets import Target
from lambda_router.proxy.upstream import Upstream
from lambda_router.servers import Server, ServerList


class Routing:
    """The servers for which the proxy speaks: one, or all of the list as it is when a request comes."""

    def __init__(self, only: Server | None, upstream: Upstream, report: Callable[[str], None]) -> None:
        self._only = only
        self._upstream = upstream
        self._report = report
        self.ids = IdMemory()

    def known(self) -> ServerList:
        """Return the servers, of which at least one is there. Raises Refused."""
        if self._only is not None:
            return ServerList((self._only,), self._only.name)
        try:
            found = servers.load()
            servers.find()
        except KitError as error:
            raise refusal_of(error) from None
        return found

    def default_of(self, known: ServerList) -> Server:
        """Return the server for what names none."""
        return known.named(known.default or "") or known.servers[0]

    def of_model(self, known: ServerList, model: str) -> tuple[Server, str]:
        """Return the server of ``server/model`` and its own name for the model; other names are the default's."""
        prefix, slash, name = model.partition("/")
        named = known.named(prefix) if slash else None
        return (named, name) if named and name else (self.default_of(known), model)

    async def of_id(self, known: ServerList, target: Target) -> Server:
        """Return the server of the job or response that a path names. One that was not seen is looked for.

        Raises:
            Refused: no server has it.
        """
        digits = target.digits or ""
        name = self.ids.server_of(digits)
        if name is not None and (server := known.named(name)) is not None:
            return server
        having: list[Server] = []
        away: list[str] = []

        async def look(server: Server) -> None:
            try:
                if await self._upstream.has(server, "/".join(target.parts[:2])):
                    having.append(server)
            except Refused as refused:
                away.append(refused.message)

        await _at_once(look, known)
        if having:
            self.ids.remember(digits, having[0].name)
            return having[0]
        names = ", ".join(each.name for each in known.servers)
        if away:
            raise Refused(502, "server_unreachable", f"{target.parts[1]} was not found; {'; '.join(away)}")
        raise Refused(404, "not_found", f"no server has {target.parts[1]} (asked: {names})")

    async def models(self, known: ServerList) -> dict[str, Any]:
        """Return the models of all servers as one list; a server that cannot say its own is left out.

        Raises:
            Refused: no server can.
        """
        found: dict[str, list[Any]] = {}
        away: list[str] = []

        async def ask(server: Server) -> None:
            try:
                found[server.name] = _prefixed(await self._upstream.document(server, "models"), server)
            except Refused as refused:
                away.append(refused.message)
                self._report(f"the list of models is without {server.name}: {refused.message}")

        await _at_once(ask, known)
        if not found:
            raise Refused(502, "server_unreachable", "; ".join(away))
        return {"object": "list", "data": [model for each in known.servers for model in found.get(each.name, [])]}


async def _at_once(ask: Callable[[Server], Any], known: ServerList) -> None:
    async with anyio.create_task_group() as group:
        for server in known.servers:
            group.start_soon(ask, server)


def _prefixed(listing: dict[str, Any], server: Server) -> list[Any]:
    data = listing.get("data")
    models = data if isinstance(data, list) else []
    return [
        each | {"id": f"{server.name}/{each['id']}"}
        for each in models
        if isinstance(each, dict) and isinstance(each.get("id"), str) and re.fullmatch(r"[\x21-\x7e]+", each["id"])
    ]
