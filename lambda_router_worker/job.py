"""A job as a handler gets it: what its caller sent, and methods to emit parts of the result before it is there."""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import JsonValue, PrivateAttr

from lambda_router_queue.models import Envelope

#: What one call may emit: text, or an object. ``docs/queue.md`` says which members have a meaning; others are the
#: handler's own.
type Delta = str | Mapping[str, JsonValue]


class _Emitter:
    """Access to the job's live output: a function of the worker, to be called in the worker's event loop only.

    A copy of the job shares it. A job that goes to another process, or is in a forked one, loses it.
    """

    def __init__(self, take: Callable[[Delta], None], loop: asyncio.AbstractEventLoop) -> None:
        self.take = take
        self.loop = loop
        self._process = os.getpid()

    def __deepcopy__(self, _: Any) -> "_Emitter":
        return self

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return type(None), ()

    @property
    def is_lost(self) -> bool:
        """Whether this is a forked process, in which the loop does not run: nothing would ever arrive."""
        return os.getpid() != self._process

    @property
    def is_in_its_loop(self) -> bool:
        """Whether the caller runs in the worker's event loop."""
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    async def hand_over(self, delta: Delta) -> None:
        """Take a delta in the worker's event loop."""
        self.take(delta)
        await asyncio.sleep(0)  # so that the pieces of a handler that awaits nothing else are sent, too


class Job(Envelope):
    """A job, and its live output. That of a job that no worker runs, such as one in a test, goes nowhere."""

    _emitter: _Emitter | None = PrivateAttr(default=None)

    def emit_to(self, take: Callable[[Delta], None]) -> None:
        """Have all output go to ``take``, in the running event loop. For the worker only."""
        self._emitter = _Emitter(take, asyncio.get_running_loop())

    async def emit(self, delta: Delta) -> None:
        """Show the caller a further piece of the result, at once. The result itself is what the handler returns.

        Pieces of text are joined to few writes. If another attempt follows, the caller is told to start over.

        Args:
            delta: text; or an object, such as ``{"reasoning": "…"}`` or one of your own, of up to 64 KiB as JSON
                (docs/operations.md#live-output).

        Raises:
            ValueError: the delta is neither, or is not JSON, or an object is too large.
            JobFailed: the output of this attempt has grown larger than the largest result.
        """
        if self._emitter is None or self._emitter.is_lost:
            return
        if self._emitter.is_in_its_loop:
            await self._emitter.hand_over(delta)
        else:  # an event loop that the handler has started, in a thread of its own
            taken = asyncio.run_coroutine_threadsafe(self._emitter.hand_over(delta), self._emitter.loop)
            await asyncio.wrap_future(taken)

    def emit_now(self, delta: Delta) -> None:
        """Do the same without giving way to other tasks. Only for the worker's own event loop.

        Raises RuntimeError anywhere else, and what ``emit`` raises.
        """
        if self._emitter is None or self._emitter.is_lost:
            return
        if not self._emitter.is_in_its_loop:
            raise RuntimeError("emit_now() works in the worker's event loop; in a thread, call emit_from_thread()")
        self._emitter.take(delta)

    def emit_from_thread(self, delta: Delta) -> None:
        """Do the same as ``emit`` in a handler that is a plain function. It runs in a thread.

        Raises RuntimeError in the worker's event loop, which would wait for itself, and what ``emit`` raises.
        """
        if self._emitter is None or self._emitter.is_lost:
            return
        if self._emitter.is_in_its_loop:
            raise RuntimeError("emit_from_thread() would block the worker; in an async handler, await emit()")
        asyncio.run_coroutine_threadsafe(self._emitter.hand_over(delta), self._emitter.loop).result()
