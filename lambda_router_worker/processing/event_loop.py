"""An event loop for a process that runs other people's code. It ends when the work is done, and for no other reason.

``asyncio.run`` ends with the first SystemExit or KeyboardInterrupt of any task, such as one that a handler started. It
abandons all other tasks. This loop continues instead. Uncaught errors of tasks, callbacks and threads are logged by
class and place. By default Python prints their text, which may quote a prompt.
"""

import asyncio
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import closing, contextmanager
from typing import Any

from lambda_router_queue import traces
from lambda_router_worker.worker_log import log

#: How long the tasks that handlers left behind may take to end, once the work is done.
LEFTOVER_SECONDS = 5.0


def run[Answer](work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run the work and return its result, or raise its error."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(_log_context)
    with closing(loop), _quiet_threads():
        try:
            return _complete(loop, work)
        finally:
            _complete(loop, _end_leftovers())


def _complete[Answer](loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Answer]) -> Answer:
    task = loop.create_task(work)
    task.add_done_callback(lambda _: loop.stop())
    while not task.done():
        try:
            loop.run_forever()  # until somebody stops it, perhaps a handler
        except (SystemExit, KeyboardInterrupt) as error:
            if not task.done():
                log.error("background task", extra=traces.facts(error))
    return task.result()


async def _end_leftovers() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=LEFTOVER_SECONDS)
    await asyncio.get_running_loop().shutdown_asyncgens()


def _log_context(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if error is not None:
        log.error("background task", extra=traces.facts(error))
    else:  # asyncio's own message, without the objects that it would show
        log.error("background task", extra={"error": context["message"]})


@contextmanager
def _quiet_threads() -> Iterator[None]:
    """Log the errors of threads, finalizers and the like by class and place."""
    before = threading.excepthook, sys.unraisablehook

    def log_failure(failure: "threading.ExceptHookArgs | sys.UnraisableHookArgs") -> None:
        if failure.exc_value is not None:
            log.error("background task", extra=traces.facts(failure.exc_value))

    threading.excepthook = sys.unraisablehook = log_failure
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = before
