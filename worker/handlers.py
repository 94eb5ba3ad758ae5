"""What does the work: a callable that takes the job's envelope and returns its result."""

import asyncio
import importlib
import inspect
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import JsonValue

from chalicelib.models import Envelope

#: Returns anything that JSON can hold; raises ``worker.outcomes.JobFailed`` to fail the job with words of its own.
Handler = Callable[[Envelope], Awaitable[JsonValue]]


class BadHandler(ValueError):
    """``--handler`` names nothing that can be called; the message says what is wrong."""


def load_handler(path: str) -> Handler:
    """The callable that ``module:function`` names, looked up from the working directory too.

    Raises:
        BadHandler: no such module or function, or not a function of one argument.
    """
    module_name, _, function_name = path.partition(":")
    if not module_name or not function_name:
        raise BadHandler(f"--handler is {path!r}; wants module:function, such as worker.demo:answer")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        function = getattr(importlib.import_module(module_name), function_name)
        inspect.signature(function).bind(object())
    except ImportError as error:
        raise BadHandler(f"--handler {path!r}: the module cannot be imported: {error}") from None
    except AttributeError:
        raise BadHandler(f"--handler {path!r}: the module has no {function_name!r}") from None
    except TypeError:
        raise BadHandler(f"--handler {path!r}: wants a function that takes one argument, the job") from None
    return function if inspect.iscoroutinefunction(function) else _in_thread(function)


def _in_thread(function: Callable[[Envelope], JsonValue]) -> Handler:
    """A plain function beside the event loop, so that leases are renewed while it works."""

    async def handle(job: Envelope) -> JsonValue:
        return await asyncio.to_thread(function, job)

    return handle
