"""Connections whose replies must come whole in time.

A socket's timeout starts anew with every byte, so a link that drips a reply would hold a request for as long as it
likes. Here each command sent starts one clock, and the reply has to be there before it runs out.
"""

import time
from typing import Any

from redis.connection import Connection, SSLConnection


class BoundedSocket:
    """A socket that gives up ``seconds`` after the last command was sent; otherwise the socket it wraps."""

    def __init__(self, sock: Any, seconds: float) -> None:
        self._sock = sock
        self._seconds = seconds
        self._timeout: float | None = sock.gettimeout()
        self._until = time.monotonic() + seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def settimeout(self, timeout: float | None) -> None:
        self._timeout = timeout

    def sendall(self, data: bytes) -> None:
        self._until = time.monotonic() + self._seconds
        self._sock.settimeout(self._seconds)
        self._sock.sendall(data)

    def recv(self, size: int) -> bytes:
        left = self._until - time.monotonic()
        if self._timeout != 0 and left <= 0:
            raise TimeoutError("the reply did not come whole in time")
        self._sock.settimeout(0 if self._timeout == 0 else left)
        received: bytes = self._sock.recv(size)
        return received


class BoundedConnection(Connection):
    """TCP; the whole reply within ``socket_timeout``."""

    def _connect(self) -> Any:
        return BoundedSocket(super()._connect(), self.socket_timeout or 0)  # type: ignore[no-untyped-call]


class BoundedSSLConnection(SSLConnection):
    """TLS; the whole reply within ``socket_timeout``."""

    def _connect(self) -> Any:
        return BoundedSocket(super()._connect(), self.socket_timeout or 0)  # type: ignore[no-untyped-call]
