"""The HTTP side of a model server: connections, redirects, silence, and what each failure means."""

import asyncio
import errno
import json
import math
import os
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx

from lambda_router_worker.backend.http_client import CONNECT_SECONDS, Clients
from lambda_router_worker.backend.server_errors import failure, unreachable
from lambda_router_worker.backend.server_trouble import Kind, ServerTrouble

#: Maximum wait for the model's first output. On a slow machine with other jobs ahead, it takes minutes. The job's own
#: time limit is usually tighter.
FIRST_WORD_SECONDS = 600.0
#: Maximum silence after that. A model that has begun continues within a second even on a slow CPU. A server that takes
#: the job off the GPU for another one, and later computes its prompt again, needs tens of seconds.
NEXT_WORD_SECONDS = 120.0
#: Time limit of a probe. A model that is busy with long jobs takes a while to generate even a single token.
PROBE_SECONDS = 30.0
_MAX_REDIRECTS = 5


class Patience(NamedTuple):
    """Seconds of silence after which a server counts as broken.

    Attributes:
        first: before the model's first output.
        next: between two outputs.
        probe: initial limit of a probe, which doubles while probes time out.
    """

    first: float
    next: float
    probe: float = PROBE_SECONDS


PATIENCE = Patience(FIRST_WORD_SECONDS, NEXT_WORD_SECONDS)


class Answer(NamedTuple):
    """A server's response, whose body has not been read yet. Call ``heard`` whenever the model produces output."""

    response: httpx.Response
    heard: Callable[[], None]


@dataclass
class _Sending:
    """The progress of a request, from httpcore's trace extension."""

    connected: bool = False
    was_there: bool = False
    status: int = 0

    async def __call__(self, event: str, facts: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            self.connected = True
        elif event == "http11.send_request_body.complete":
            self.was_there = True
        elif event == "http11.receive_response_headers.complete":
            self.status = facts["return_value"][1]


class _Silence:
    """The time limit on a server's silence.

    Output can arrive thousands of times a second, so the limit is moved only now and then.
    """

    def __init__(self, patience: Patience) -> None:
        self.allowed = patience.first
        self.limit = asyncio.timeout(patience.first)
        self._next = patience.next
        self._clock = asyncio.get_running_loop().time
        self._moved_at = -math.inf

    def heard(self) -> None:
        now = self._clock()
        if now - self._moved_at > self._next / 100:
            self._moved_at, self.allowed = now, self._next
            self.limit.reschedule(now + self._next)


class ModelServer:
    """Sends requests to paths below the clients' base URL."""

    def __init__(self, clients: Clients, patience: Patience) -> None:
        self._clients = clients
        self._patience = patience

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()

    @asynccontextmanager
    async def asked(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> AsyncGenerator[Answer]:
        """Send a request and yield its response.

        The connection is closed at the end of the block, unless the response was read to its end.

        Raises:
            ServerTrouble: no response, also within the block: the connection broke or was silent for too long.
        """
        content = None if body is None else json.dumps(body, allow_nan=False)
        more = (headers or {}) | ({} if body is None else {"Content-Type": "application/json"})
        request = self._clients.reusing.build_request(method, path, content=content, headers=more)
        sending, silence = _Sending(), _Silence(self._patience)
        try:
            async with silence.limit:
                response = await self._send(request, sending)
                try:
                    yield Answer(response, silence.heard)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            if not silence.limit.expired():
                raise
            reason = f"no response for {silence.allowed:g} s"
            raise unreachable(reason, Kind.BROKEN, was_there=sending.was_there) from error
        except (httpx.TransportError, OSError) as error:
            raise _trouble(error, sending) from error

    async def _send(self, request: httpx.Request, sending: _Sending) -> httpx.Response:
        """Follow redirects within the server and keep the method (RFC 9110 sections 15.4.8 and 15.4.9)."""
        for _ in range(_MAX_REDIRECTS):
            response = await self._send_twice(request, sending)
            target = response.next_request
            if response.status_code not in {307, 308} or target is None or not _same_server(request.url, target.url):
                return response
            await response.aclose()
            request = target
        return await self._send_twice(request, sending)

    async def _send_twice(self, request: httpx.Request, sending: _Sending) -> httpx.Response:
        """Send the request, and send it again on a new connection if a reused one broke before the response began.

        The server had closed the idle connection, which says nothing about the server or job (RFC 9112 section 9.3.1).
        """
        request.extensions = {**request.extensions, "trace": sending}
        sending.connected, sending.status = False, 0
        try:
            return await self._clients.reusing.send(request, stream=True)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            if sending.connected or sending.status:
                raise
        return await self._clients.connecting.send(request, stream=True)


def _same_server(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _trouble(error: Exception, sending: _Sending) -> ServerTrouble:
    if 300 <= sending.status < 400:  # a Location that httpx cannot parse
        trouble = failure(sending.status)
        assert isinstance(trouble, ServerTrouble)  # noqa: S101 (narrows the type)
        return trouble
    if isinstance(error, httpx.ProxyError):
        return unreachable("the proxy of the environment rejected it")
    if isinstance(error, httpx.ConnectTimeout):
        return unreachable(f"no connection within {CONNECT_SECONDS:g} s", was_there=sending.was_there)
    return unreachable(_reason(error), was_there=sending.was_there)


_REASONS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection lost",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "no route to host",
    errno.EMFILE: "too many open files: raise ulimit -n or lower --concurrency",
}


#: OpenSSL's names for a response that is not TLS; they depend on its version.
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"})


def _reason(error: Exception) -> str:
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return "host name not found"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS certificate not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return _tls_reason(cause.reason or "")
        if isinstance(cause, OSError) and cause.errno:
            return _REASONS.get(cause.errno, os.strerror(cause.errno).lower())
    return "connection failed" if isinstance(error, httpx.ConnectError) else "connection lost"


def _tls_reason(reason: str) -> str:
    words = f"TLS failed: {reason.lower().replace('_', ' ') or 'no reason given'}"
    return f"{words}; does it speak plain HTTP?" if reason in _NO_TLS else words


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and the chain of its causes. If several addresses were tried, yield the error of each."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _causes(one)
        error = error.__cause__ or error.__context__
