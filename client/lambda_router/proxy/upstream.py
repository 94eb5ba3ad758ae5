"""The servers behind the proxy: requests with a fresh token, streamed both ways. Nothing is sent twice."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import httpx

from lambda_router import tokens
from lambda_router.addresses import is_loopback
from lambda_router.errors import KitError
from lambda_router.http import usable_proxies
from lambda_router.proxy.headers import RawHeaders, for_server
from lambda_router.proxy.refusals import Refused, refusal_of
from lambda_router.servers import Server

_MAX_DOCUMENT = 1_048_576


@dataclass(frozen=True)
class Timeouts:
    """Seconds that a server gets. Longer than API Gateway's longest answer, 15 minutes: the caller leaves before."""

    connect: float = 10.0
    read: float = 960.0
    write: float = 60.0
    document: float = 15.0


@dataclass(frozen=True)
class Outgoing:
    """A request as the caller made it, without its body."""

    method: str
    path: str
    headers: RawHeaders = field(repr=False)


class Upstream:
    """Connections to all servers."""

    def __init__(self, timeouts: Timeouts, report: Callable[[str], None]) -> None:
        self._timeouts = timeouts
        self._report = report
        self._clients: dict[bool, httpx.AsyncClient] = {}

    @asynccontextmanager
    async def opened(
        self, server: Server, request: Outgoing, body: AsyncIterator[bytes] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """Send a request, and return the answer with its body unread. What breaks later raises ``httpx.HTTPError``.

        Raises:
            Refused: no token, no answer, or a redirect, which could lead a tool to another host.
        """
        sent = await self._request(server, request, body)
        try:
            response = await self._client(server).send(sent, stream=True, follow_redirects=False)
        except (httpx.HTTPError, UnicodeError) as error:  # UnicodeError: a name that is no host's, or no token
            raise self._away(server, error) from None
        try:
            if 300 <= response.status_code < 400 and response.status_code != 304:
                raise Refused(502, "server_redirects", f"{server.name} redirects: log in to its new address")
            yield response
        finally:
            await response.aclose()

    async def document(self, server: Server, path: str) -> dict[str, Any]:
        """Fetch a JSON object with a status of 200.

        Raises:
            Refused: there is none, in time and of a sane size.
        """
        headers = [(b"accept", b"application/json"), (b"accept-encoding", b"identity")]
        try:
            with anyio.fail_after(self._timeouts.document):
                async with self.opened(server, Outgoing("GET", path, headers)) as response:
                    found = json.loads(await _bounded(response)) if response.status_code == 200 else None
        except (TimeoutError, httpx.HTTPError) as error:
            raise self._away(server, error) from None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Refused(502, "bad_answer", f"{server.name} has no such document")
        return found

    async def has(self, server: Server, path: str) -> bool:
        """Return whether a server knows what is at a path. Raises Refused."""
        try:
            with anyio.fail_after(self._timeouts.document):
                async with self.opened(server, Outgoing("GET", path, [])) as response:
                    if response.status_code not in {200, 400, 404}:
                        raise Refused(502, "bad_answer", f"{server.name} answered with {response.status_code}")
                    return response.status_code == 200
        except TimeoutError as error:
            raise self._away(server, error) from None

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()

    async def _request(self, server: Server, request: Outgoing, body: AsyncIterator[bytes] | None) -> httpx.Request:
        token = await self._token(server)
        timeouts = self._timeouts
        seconds = {"connect": timeouts.connect, "read": timeouts.read, "write": timeouts.write, "pool": None}
        try:
            return httpx.Request(
                request.method,
                f"{server.base_url}/{request.path}",
                headers=for_server(request.headers, token),
                content=body,
                extensions={"timeout": seconds},
            )
        except httpx.InvalidURL:
            raise Refused(400, "bad_path", "the path is no address") from None

    async def _token(self, server: Server) -> str:
        try:
            # In a thread, since a renewal waits for the issuer and for other processes.
            token = tokens.memory_of(server)
            if token is None:
                token = await anyio.to_thread.run_sync(tokens.token_of, server, abandon_on_cancel=True)
            return token
        except KitError as error:
            self._report(str(error))
            raise refusal_of(error) from None

    def _client(self, server: Server) -> httpx.AsyncClient:
        is_here = is_loopback(urlsplit(server.url).hostname)
        if is_here not in self._clients:
            # A company's proxy is no way to this machine.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
            try:
                with usable_proxies():
                    self._clients[is_here] = httpx.AsyncClient(trust_env=not is_here, limits=limits)
            except KitError as error:
                self._report(str(error))
                raise refusal_of(error) from None
        return self._clients[is_here]

    def _away(self, server: Server, error: Exception) -> Refused:
        late = isinstance(error, TimeoutError | httpx.ReadTimeout | httpx.WriteTimeout)
        reason = "took too long" if late else f"cannot be reached ({type(error).__name__})"
        self._report(f"{server.name} {reason}")
        return Refused(504 if late else 502, "server_unreachable", f"{server.name} {reason}: try again later")


async def _bounded(response: httpx.Response) -> bytes:
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > _MAX_DOCUMENT:
            raise ValueError("too long")
    return bytes(content)
