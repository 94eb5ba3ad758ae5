"""Fixtures: the double, and a loop that serves it inside the test's process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from chalicelib.streaming.loop import Handler, serve
from chalicelib.streaming.runtime_api import RuntimeApi, RuntimeApiFailed
from tests.streaming.runtime_double import LONG, RuntimeDouble

type Serve = Callable[..., "Loop"]


class Loop:
    """A loop in a thread. It ends when the Runtime API has no more events."""

    def __init__(self, address: str, handler: Handler) -> None:
        self.environ: dict[str, str] = {"AWS_LAMBDA_FUNCTION_NAME": "router-stream", "AWS_LAMBDA_FUNCTION_VERSION": "7"}
        self.failed: RuntimeApiFailed | None = None
        self._serve = lambda: serve(RuntimeApi(address), handler, self.environ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._serve()
        except RuntimeApiFailed as error:
            self.failed = error

    def wait(self) -> RuntimeApiFailed:
        """Why it ended."""
        self._thread.join(LONG)
        assert self.failed is not None
        return self.failed


@pytest.fixture
def double() -> Iterator[RuntimeDouble]:
    with RuntimeDouble() as double:
        yield double


@pytest.fixture
def serving(double: RuntimeDouble) -> Iterator[Serve]:
    """Start the loop with a handler; it must still be there at the end, unless the test has seen it end."""
    with ExitStack() as stack:

        def start(handler: Any) -> Loop:
            loop = Loop(double.address, handler)
            stack.callback(loop.wait)
            stack.callback(double.stop)
            return loop

        yield start
