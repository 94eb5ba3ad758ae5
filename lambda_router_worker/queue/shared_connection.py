"""An open connection to a Redis server that many tasks share.

A command does not wait for the replies to earlier ones. All commands of one turn of the event loop are sent in one
write, and each gets its own reply or its own error (``docs/decisions/0042-worker-on-the-same-wire.md``).
"""

import asyncio
import socket
import ssl
from collections import deque
from typing import Any, NamedTuple

from lambda_router_queue.redis.errors import Reaction, reaction
from lambda_router_queue.redis.url import RedisAddress
from lambda_router_queue.redis.wire import (
    CERTIFICATE_WANTED,
    HANDSHAKE,
    NOT_WHOLE,
    SILENT_END,
    Broken,
    Refused,
    Replies,
    command,
)

#: Share of the time for connecting that the TLS handshake may take: a port without TLS may wait for more bytes.
_HANDSHAKE_SHARE = 0.8


#: Limit of the kernel's send buffer. Beyond it, this process can see whether written bytes make progress.
_KERNEL_BYTES = 256 * 1024
#: Number of checks within the time that a connection may make no progress.
_LOOKS = 5


class _Question(NamedTuple):
    answer: asyncio.Future[Any]
    at: float


class SharedConnection(asyncio.Protocol):
    """A connection that works until it breaks and is never reopened. It belongs to the event loop that it was made in.

    A large result takes time on a narrow link. So the timeout measures the time without progress, not the time since
    the command was sent. Progress means bytes received, or bytes sent that could not be written at once.

    Args:
        seconds: how long a connection may make no progress while a reply is awaited. Then it is closed, because nobody
            can tell which reply would come next.
    """

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._transport: asyncio.Transport | None = None
        self._replies = Replies(errors="replace")  # an entry that is not UTF-8 becomes a dead letter, too
        self._asked: deque[_Question] = deque()
        self._unsent: list[bytes] = []
        self._written = 0
        self._gone = 0
        self._is_backlogged = False
        self._moved_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def ask(self, question: bytes) -> asyncio.Future[Any]:
        """Send a command, encoded by ``lambda_router_queue.redis.wire.command``, and return a future for its reply.

        The future raises Refused if Redis replies with an error. It raises Broken if nobody can tell what Redis did:
        the connection broke, the reply was late, or this server is no longer the right one.
        """
        answer: asyncio.Future[Any] = self._loop.create_future()
        if self._transport is None:
            answer.set_exception(Broken("the connection is closed"))
            return answer
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(question)
        self._asked.append(_Question(answer, self._loop.time()))
        if self._timer is None:
            self._look_later()
        return answer

    def close(self, reason: str = "the connection was closed") -> None:
        """Close the connection. Commands that still wait for a reply raise Broken."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        if self._timer is not None:
            self._timer.cancel()
        while self._asked:
            _settle(self._asked.popleft().answer, Broken(reason))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (narrows the type)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        is_plain = self._transport is not None and self._transport.get_extra_info("ssl_object") is None
        if self._replies.are_none and is_plain:
            self.close(SILENT_END)
        elif isinstance(error, ssl.SSLError) and wants_certificate(error):
            self.close(CERTIFICATE_WANTED)
        else:
            self.close(type(error).__name__ if error else "the server hung up")

    def data_received(self, data: bytes) -> None:
        self._moved_at = self._loop.time()
        self._replies.feed(data)
        try:
            while self._asked and (said := self._replies.take()) is not NOT_WHOLE:
                self._take(said)
        except Broken as error:
            self.close(str(error))

    def _take(self, said: Any) -> None:
        answer = self._asked.popleft().answer
        if isinstance(said, Refused) and reaction(str(said)) is Reaction.AGAIN:
            _settle(answer, Broken(str(said)))
            self.close(str(said))  # the host name may lead to another server by now
        else:
            _settle(answer, said)

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None:
            data = b"".join(unsent)
            self._written += len(data)
            self._transport.write(data)

    def _look_later(self) -> None:
        self._timer = self._loop.call_later(self._seconds / _LOOKS, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._asked or self._transport is None:
            return
        self._note_what_went(self._transport.get_write_buffer_size())
        if self._loop.time() - max(self._moved_at, self._asked[0].at) >= self._seconds:
            self.close("TimeoutError")
        else:
            self._look_later()

    def _note_what_went(self, backlog: int) -> None:
        """Record progress in sending. Bytes that the kernel took at once prove nothing: the server may be gone."""
        gone = self._written - backlog
        if gone > self._gone and (self._is_backlogged or backlog):
            self._moved_at = self._loop.time()
        self._gone, self._is_backlogged = gone, bool(backlog)


def wants_certificate(error: ssl.SSLError) -> bool:
    """Return whether the server wants a client's certificate. TLS 1.3 says so after the handshake (RFC 8446, 6.2)."""
    return "CERTIFICATE_REQUIRED" in (error.reason or "")


def _settle(answer: asyncio.Future[Any], said: Any) -> None:
    if answer.done():  # the task that waited was cancelled meanwhile
        return
    if isinstance(said, Refused | Broken):
        answer.set_exception(said)
    else:
        answer.set_result(said)


async def open_connection(address: RedisAddress, seconds: float) -> SharedConnection:
    """Connect and log in within ``seconds``. Raises Refused or Broken."""
    loop = asyncio.get_running_loop()
    tls: dict[str, Any] = {}
    try:
        async with asyncio.timeout(seconds):
            if address.tls is not None:
                tls = {"ssl": address.tls.context(), "server_hostname": address.host}
                tls["ssl_handshake_timeout"] = _HANDSHAKE_SHARE * seconds
            _, line = await loop.create_connection(lambda: SharedConnection(seconds), address.host, address.port, **tls)
            await _greet(line, address)
    except (ConnectionAbortedError, ConnectionResetError) as error:
        raise Broken(HANDSHAKE if tls else type(error).__name__) from error
    except OSError as error:
        raise Broken(type(error).__name__) from error
    return line


async def _greet(line: SharedConnection, address: RedisAddress) -> None:
    try:
        for greeting in address.greetings():
            await line.ask(command(*greeting))
    except BaseException:
        line.close()
        raise
