"""One Redis server, as the whole worker process asks it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from lambda_router_queue.redis.url import RedisAddress
from lambda_router_queue.redis.wire import Argument, command
from lambda_router_worker.queue.shared_connection import SharedConnection, open_connection

#: A command from this size on goes on the connection for results; few other commands are as large.
_LARGE_BYTES = 64 * 1024
#: Keys that Redis looks at before it lets others in between.
_SCANNED_AT_ONCE = 1_000


class Server:
    """Three connections: for everything that is answered at once, for large results, and to wait on.

    A result of megabytes takes seconds on a narrow link. Were it on the first one, leases would lapse behind it.

    Args:
        seconds: how long nothing may come of an answer, and how long making a connection may take.
    """

    def __init__(self, address: RedisAddress, seconds: float) -> None:
        self._questions = _Reopened(address, seconds)
        self._results = _Reopened(address, seconds)
        self._waits = _Reopened(address, seconds)

    def execute(self, *parts: Argument) -> Coroutine[Any, Any, Any]:
        """The answer to a command. Raises Refused or Broken."""
        question = command(*parts)
        return (self._questions if len(question) < _LARGE_BYTES else self._results).ask(question)

    def wait(self, *parts: Argument) -> Coroutine[Any, Any, Any]:
        """The same, for a command that makes the server wait; for one at a time."""
        return self._waits.ask(command(*parts))

    async def keys_like(self, pattern: str) -> AsyncIterator[str]:
        """Every key that matches, with SCAN: some of them perhaps twice."""
        cursor = "0"
        while True:
            cursor, keys = await self.execute("SCAN", cursor, "MATCH", pattern, "COUNT", _SCANNED_AT_ONCE)
            for key in keys:
                yield key
            if cursor == "0":
                return

    async def aclose(self) -> None:
        """Hang up; the next question opens a connection anew."""
        for line in (self._questions, self._results, self._waits):
            line.close()


class _Reopened:
    """A line that is opened at the first question and anew after it broke. Who asks meanwhile waits for the same."""

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
