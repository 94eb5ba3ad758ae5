"""One connection to Redis: a call gets its whole reply in time, or none.

redis-py does far more, at a price. Importing it takes half as long as the rest of this function, and a command through
it takes as much CPU as checking a token (``docs/decisions/0030-own-redis-connection.md``).
"""

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from lambda_router_queue import deadlines
from lambda_router_queue.redis.url import RedisAddress
from lambda_router_queue.redis.wire import HANDSHAKE, NOT_WHOLE, SILENT_END, Argument, Broken, Refused, Replies, command

_BUFFER_BYTES = 64 * 1024
#: Setting a socket's timeout is a system call, so a timeout that is off by at most this is not changed.
_TIMEOUT_SLACK_SECONDS = 0.02


class _Line(NamedTuple):
    """An open connection, and its replies."""

    sock: socket.socket
    replies: Replies


class Connection:
    """A connection that opens at its first command, and again after it broke. For one thread at a time.

    A socket's timeout restarts with every byte, so a slow link could hold a request indefinitely. Here each call starts
    one clock (``lambda_router_queue.deadlines``), and the whole reply has to arrive before it runs out.
    """

    def __init__(self, address: RedisAddress, seconds: float, dial: deadlines.Dial = deadlines.dial) -> None:
        self._address = address
        self._seconds = seconds
        self._dial = dial
        self._line: _Line | None = None

    def __del__(self) -> None:
        self.close()

    def execute(self, *parts: Argument) -> Any:
        """Return the reply to a command. If the connection has to be opened first, both share the time limit.

        Raises:
            Refused: Redis replied with an error; the connection is still usable.
            Broken: no whole reply in time. The command may have been executed.
        """
        return self.execute_all([parts])[0]

    def execute_all(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Return the replies to several commands, in one round trip. Raises like ``execute``."""
        try:
            with deadlines.within(self._seconds):
                if self._line is None:
                    self._line = self._open()
                return self._ask(self._line, commands)
        except Refused:
            raise
        except OSError as error:
            self.close()
            raise Broken(type(error).__name__) from error
        except BaseException:
            self.close()  # the rest of the reply would be taken for the next one
            raise

    def close(self) -> None:
        """Close the connection; the next command reopens it."""
        line, self._line = self._line, None
        if line is not None:
            with suppress(OSError):
                line.sock.close()

    def _open(self) -> _Line:
        sock = self._connect()
        # A text that is not UTF-8 spoils only the field that it is in.
        line = _Line(sock, Replies("surrogateescape"))
        try:
            for greeting in self._address.greetings():
                self._ask(line, [greeting])
        except BaseException:
            sock.close()
            raise
        return line

    def _connect(self) -> socket.socket:
        address = self._address
        sock = self._dial(address.host, address.port)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if address.tls is None:
            return sock
        try:
            sock.settimeout(deadlines.left())  # it covers all steps of the handshake together
            return address.tls.context().wrap_socket(sock, server_hostname=address.host)
        except (TimeoutError, ConnectionError) as error:
            sock.close()
            raise Broken(HANDSHAKE) from error
        except BaseException:
            sock.close()
            raise

    def _ask(self, line: _Line, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        self._limit(line.sock)
        line.sock.sendall(b"".join([command(*parts) for parts in commands]))
        replies = [self._reply(line) for _ in commands]
        for refused in replies:
            if isinstance(refused, Refused):  # only after all replies have arrived
                raise refused
        return replies

    def _reply(self, line: _Line) -> Any:
        while (said := line.replies.take()) is NOT_WHOLE:
            self._limit(line.sock)
            line.replies.feed(self._received(line))
        return said

    def _received(self, line: _Line) -> bytes:
        is_first = line.replies.are_none and self._address.tls is None
        try:
            received = line.sock.recv(_BUFFER_BYTES)
        except ConnectionError as error:
            raise Broken(SILENT_END if is_first else type(error).__name__) from error
        if not received:
            raise Broken(SILENT_END if is_first else "the reply is not complete")
        return received

    def _limit(self, sock: socket.socket) -> None:
        """Limit the next operation on the socket to the time left."""
        left = deadlines.left()
        if abs((sock.gettimeout() or 0) - left) > _TIMEOUT_SLACK_SECONDS:
            sock.settimeout(left)
