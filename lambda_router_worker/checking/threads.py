"""An event loop for a command that ends in time, whatever a name server or a library does."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class _Daemons(ThreadPoolExecutor):
    """A thread for each call, for which neither the loop nor the process waits.

    A name's resolution cannot be interrupted, and Python joins the threads of a pool when it exits.
    """

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = call(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Return at once."""


def run[Answer](work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run the work and return its result, or raise its error."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(_Daemons())
        return runner.run(work)
