"""One Redis server, with the connections that the whole worker process shares."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from lambda_router_queue.redis.url import RedisAddress
from lambda_router_queue.redis.wire import Argument, command
from lambda_router_worker.queue.shared_connection import SharedConnection, open_connection

#: Commands of this size or more use the connection for results. Few other commands are as large.
_LARGE_BYTES = 64 * 1024
#: Number of keys that Redis scans before it serves other clients.
_SCANNED_AT_ONCE = 1_000


class Server:
    """Three connections: one for ordinary commands, one for large results, and one for commands that block.

    A result of megabytes takes seconds on a narrow link. On the first connection, leases would expire behind it.

    Args:
        seconds: how long a reply may make no progress, and how long connecting may take.
    """

    def __init__(self, address: RedisAddress, seconds: float) -> None:
        self._questions = _Reopened(address, seconds)
        self._results = _Reopened(address, seconds)
        self._waits = _Reopened(address, seconds)

    def execute(self, *parts: Argument) -> Coroutine[Any, Any, Any]:
        """Return the reply to a command. Raises Refused or Broken."""
        question = command(*parts)
        return (self._questions if len(question) < _LARGE_BYTES else self._results).ask(question)

    def wait(self, *parts: Argument) -> Coroutine[Any, Any, Any]:
        """Return the reply to a command that blocks the connection. Only one caller at a time may wait."""
        return self._waits.ask(command(*parts))

    async def keys_like(self, pattern: str) -> AsyncIterator[str]:
        """Yield every key that matches, by SCAN, which may return a key twice."""
        cursor = "0"
        while True:
            cursor, keys = await self.execute("SCAN", cursor, "MATCH", pattern, "COUNT", _SCANNED_AT_ONCE)
            for key in keys:
                yield key
            if cursor == "0":
                return

    async def aclose(self) -> None:
        """Close the connections. The next command opens one again."""
        for line in (self._questions, self._results, self._waits):
            line.close()


class _Reopened:
    """A connection that opens at the first command, and again after it broke. Concurrent commands share the opening."""

    def __init__(self, address: RedisAddress, seconds: float) -> None:
        self._address = address
        self._seconds = seconds
        self._line: SharedConnection | None = None
        self._opening: asyncio.Task[SharedConnection] | None = None

    async def ask(self, question: bytes) -> Any:
        line = self._line
        if line is None or not line.is_open:
            line = await self._open()
        return await line.ask(question)

    def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if self._line is not None:
            self._line.close()

    async def _open(self) -> SharedConnection:
        if self._opening is None:
            self._opening = asyncio.create_task(open_connection(self._address, self._seconds))
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    def _opened(self, opening: asyncio.Task[SharedConnection]) -> None:
        self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._line = opening.result()
