"""The proxy as an ASGI application."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import quote

import anyio
import httpx
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from lambda_router.proxy.answer import Answer, CallerGone, Upload
from lambda_router.proxy.headers import RawHeaders, for_caller
from lambda_router.proxy.incoming import Body, Held
from lambda_router.proxy.refusals import Refused
from lambda_router.proxy.routing import Routing
from lambda_router.proxy.rules import Rules
from lambda_router.proxy.targets import Target, first_digits, target_of
from lambda_router.proxy.upstream import Outgoing, Timeouts, Upstream
from lambda_router.servers import Server, ServerList

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
#: An id stands in the first bytes of an answer or stream, else in its error's message.
_BYTES_WITH_ID = 8_192


@dataclass(frozen=True)
class _Call:
    """One request, as far as it has arrived, and its answer."""

    request: Request
    upload: Upload
    answer: Answer


class Application:
    """Checks each request, chooses its server, and hands both bodies through as they come."""

    def __init__(
        self, rules: Rules, only: Server | None, report: Callable[[str], None], timeouts: Timeouts | None = None
    ) -> None:
        self._rules = rules
        self._report = report
        self._upstream = Upstream(timeouts or Timeouts(), report)
        self._routing = Routing(only, self._upstream, report)
        self._held = Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        call = _Call(Request(scope), Upload(receive), Answer(send))
        try:
            if await self._is_admitted(call.request, call.answer):
                await self._until_gone(call)
        except Refused as refused:
            await call.answer.refuse(refused)

    async def close(self) -> None:
        """Close the connections to the servers."""
        await self._upstream.close()

    async def _is_admitted(self, request: Request, answer: Answer) -> bool:
        origin = self._rules.check_place(request.headers)
        if origin is not None:
            answer.extra = _grant(origin)
            if request.method == "OPTIONS":
                await answer.whole(204, _preflight())
                return False
        if request.method not in _METHODS.split(", "):
            raise Refused(405, "method_not_allowed", f"the method must be one of {_METHODS}")
        self._rules.check_key(request.headers)
        if "transfer-encoding" in request.headers and "content-length" in request.headers:
            raise Refused(400, "bad_framing", "the request has Content-Length and Transfer-Encoding, of which one lies")
        return True

    async def _until_gone(self, call: _Call) -> None:
        """Serve, and end the server's work as soon as the caller is gone. Raises Refused."""
        refused: list[Refused] = []
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                await call.upload.caller_gone()
                group.cancel_scope.cancel()

            group.start_soon(watch)
            try:
                await self._serve(call)
            except CallerGone:
                pass
            except Refused as found:
                refused.append(found)
            except Exception as error:  # a mistake of the proxy's own, which uvicorn would answer with plain text
                self._report(f"failed with {type(error).__name__}: {error}")
                refused.append(Refused(500, "proxy_failed", f"failed with {type(error).__name__}"))
            group.cancel_scope.cancel()
        if refused and not call.answer.is_begun:
            raise refused[0]

    async def _serve(self, call: _Call) -> None:
        scope = call.request.scope
        target = target_of(scope["raw_path"], scope["query_string"])
        known = self._routing.known()
        if target.server is not None:
            named = known.named(target.server)
            if named is None:
                raise Refused(404, "unknown_server", f"no server {target.server!r} here: run lambda-router servers")
            await self._pass(call, named, target.path, Body(call.upload), f"/{named.name}")
        elif len(known.servers) == 1:
            await self._pass(call, known.servers[0], target.path, Body(call.upload))
        elif target.parts == ("models",) and call.request.method == "GET":
            await _send_document(call.answer, await self._routing.models(known))
        else:
            await self._choose(call, known, target)

    async def _choose(self, call: _Call, known: ServerList, target: Target) -> None:
        """Serve what one of several servers has to do."""
        routing, upload, method = self._routing, call.upload, call.request.method
        body = Body(upload)
        server = routing.default_of(known)
        if target.model is not None:
            server, name = routing.of_model(known, target.model)
            if name != target.model and method == "GET":
                found = await self._upstream.document(server, f"models/{quote(name, safe='')}")
                await _send_document(call.answer, found | {"id": f"{server.name}/{name}"})
                return
        elif target.digits is not None:
            server = await routing.of_id(known, target)
        elif method == "POST" and target.parts[0] != "jobs":
            member = await self._held.until_model(upload)
            content = bytes(member.content)
            if member.value is not None:
                server, name = routing.of_model(known, member.value)
                content = content if name == member.value else member.renamed(name)
            body = Body(upload, content, len(content) - len(member.content))
        await self._pass(call, server, target.path, body)

    async def _pass(self, call: _Call, server: Server, path: str, body: Body, prefix: str = "") -> None:
        """Hand a request and its answer through."""
        request, answer = call.request, call.answer
        outgoing = Outgoing(request.method, path, _with_length(request, body.growth))
        pieces = body.pieces() if _has_body(request) else None
        if pieces is None:
            async for _ in body.pieces():  # the end of nothing, after which the caller's leaving shows
                pass
        async with self._upstream.opened(server, outgoing, pieces) as response:
            await answer.begin(response.status_code, for_caller(response.headers.raw, server, prefix))
            try:
                await self._stream(response.aiter_raw(), server, answer)
            except (httpx.HTTPError, httpx.StreamError) as error:
                # Without an end: the caller must see that something is missing.
                self._report(f"{server.name} broke an answer off ({type(error).__name__})")
                return
            await answer.end()

    async def _stream(self, pieces: AsyncIterator[bytes], server: Server, answer: Answer) -> None:
        beginning: bytes | None = b""
        async for piece in pieces:
            await answer.piece(piece)
            if beginning is not None:
                beginning = self._remember(beginning + piece, server)

    def _remember(self, beginning: bytes, server: Server) -> bytes | None:
        """Look for an id. Return what to go on with, None if it is found or too much was read."""
        digits = first_digits(beginning)
        if digits is not None:
            self._routing.ids.remember(digits, server.name)
            return None
        return beginning if len(beginning) < _BYTES_WITH_ID else None


async def _send_document(answer: Answer, document: object) -> None:
    content = json.dumps(document).encode()
    length = str(len(content)).encode()
    await answer.whole(200, [(b"content-type", b"application/json"), (b"content-length", length)], content)


def _has_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def _with_length(request: Request, growth: int) -> RawHeaders:
    """Return the headers, with the length of a body that was changed."""
    return [
        (name, str(int(value) + growth).encode() if name == b"content-length" else value)
        for name, value in request.headers.raw
    ]


def _grant(origin: str) -> RawHeaders:
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", b"*"),
        (b"vary", b"Origin"),
    ]


def _preflight() -> RawHeaders:
    return [
        (b"access-control-allow-methods", _METHODS.encode()),
        (b"access-control-allow-headers", b"Authorization, *"),
        (b"access-control-allow-private-network", b"true"),
        (b"access-control-max-age", b"600"),
    ]
