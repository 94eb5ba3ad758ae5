"""Handlers: callables that take a job's envelope and return its result."""

import asyncio
import importlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import JsonValue

from lambda_router_worker.job import Job

#: Returns anything that JSON can represent. Raises ``lambda_router_worker.JobFailed`` to fail the job with its own
#: message.
Handler = Callable[[Job], Awaitable[JsonValue]]


#: Maximum number of jobs that one worker process handles at a time.
MAX_CONCURRENCY = 1_024


class BadHandler(ValueError):
    """The value of ``--handler`` names nothing that can be called. The message says what is wrong."""


def load_handler(path: str) -> Handler:
    """Load the callable that ``module:function`` names. The working directory is searched, too.

    Raises:
        BadHandler: no such module or function, a module that cannot be imported, or not a callable of one argument.
    """
    module_name, _, function_name = path.partition(":")
    if not module_name or not function_name:
        raise BadHandler(f"--handler is {path!r}; wants module:function, such as lambda_router_worker.demo:answer")
    module = _import(path, module_name)
    if not hasattr(module, function_name):
        raise BadHandler(f"--handler {path!r}: the module has no {function_name!r}")
    function = getattr(module, function_name)
    try:
        inspect.signature(function).bind(object())
    except (TypeError, ValueError):
        raise BadHandler(f"--handler {path!r}: wants a callable that takes one argument, the job") from None
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
    return function if is_async else partial(ThreadWork, function)


def _import(path: str, module_name: str) -> ModuleType:
    """Import a module. Its code may raise anything, even through ``sys.exit``: that becomes BadHandler's reason."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module_name)
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"
        raise BadHandler(f"--handler {path!r}: the module cannot be imported: {reason}") from None


#: One thread for each job at a time. asyncio's own pool has fewer threads than a worker may have jobs.
_threads = ThreadPoolExecutor(MAX_CONCURRENCY, thread_name_prefix="handler")


class ThreadWork:
    """A plain function that processes a job in a thread, so that the event loop can renew leases. Await its result.

    A thread cannot be stopped. If the task that awaits the result is cancelled, the function keeps running.
    """

    def __init__(self, function: Callable[[Job], JsonValue], job: Job) -> None:
        self._future = _threads.submit(_outcome, function, job)

    def __await__(self) -> Generator[Any, None, JsonValue]:
        result, error = yield from asyncio.wrap_future(self._future)
        if error is not None:
            raise error
        return result

    @property
    def is_over(self) -> bool:
        return self._future.done()

    async def until_over(self) -> None:
        """Wait until the function has returned or raised."""
        await asyncio.wait([asyncio.wrap_future(self._future)])


def _outcome(function: Callable[[Job], JsonValue], job: Job) -> tuple[JsonValue, BaseException | None]:
    """Return the exception instead of raising it: a future would convert some exceptions and lose their origin."""
    try:
        return function(job), None
    except BaseException as error:
        return None, error
