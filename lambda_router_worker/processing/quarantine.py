"""A lock that lets jobs run side by side, but suspects alone. All jobs at a model server are blamed when it breaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Quarantine:
    """Admits any number of jobs at a time, or one that must be alone. First come, first served."""

    def __init__(self) -> None:
        self._inside = 0
        self._emptied = asyncio.Event()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def entered(self, *, alone: bool) -> AsyncIterator[None]:
        """Wait for a turn, and hold it while the block runs."""
        if alone:
            async with self._turn:
                while self._inside:
                    self._emptied.clear()
                    await self._emptied.wait()
                yield
            return
        if self._turn.locked():
            async with self._turn:
                self._inside += 1
        else:
            self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            self._emptied.set()
