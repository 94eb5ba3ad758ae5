"""The stack of ``make run``, started as ``make run`` starts it."""

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import pytest

from tests.e2e.calling_model import MODEL, calling_model
from tests.e2e.live import Live
from tests.e2e.running_stack import RunningStack, begin_stack
from tools.local.ports import free_ports
from tools.local.state import LocalState

StartStack = Callable[..., RunningStack]


@pytest.fixture(scope="session")
def start_stack() -> Iterator[StartStack]:
    """Start a stack on a port and wait for it; whatever is left at the end is killed, and its folder removed."""
    started: list[RunningStack] = []

    def start(port: int | None = None, options: Sequence[str] = (), **environ: str) -> RunningStack:
        port = port or free_ports(1)[0]
        stack = RunningStack(port, begin_stack(port, options, **environ))
        started.append(stack)
        threading.Thread(target=stack.listen, daemon=True).start()
        stack.wait_until_ready()
        return stack

    yield start
    for stack in started:
        stack.process.kill()
        stack.process.wait()
        with suppress(OSError):
            shutil.rmtree(LocalState(stack.port).folder)


@pytest.fixture(scope="session")
def stack(start_stack: StartStack) -> Iterator[RunningStack]:
    """One stack for all tests that only use it. At the end it must stop cleanly."""
    stack = start_stack()
    yield stack
    assert stack.stop() == 0
    assert "stopping" in "".join(stack.said)


@pytest.fixture(scope="session")
def live(start_stack: StartStack) -> Iterator[Live]:
    """One stack whose model speaks word by word, for all tests of live output."""
    with calling_model() as model:
        stack = start_stack(
            BACKEND=model.base_url,
            MODEL=MODEL,
            WORKER_CONCURRENCY="20",
            ROUTER_RETRY_FIRST_SECONDS="0",
            ROUTER_RETRY_LONGEST_SECONDS="0",
            ROUTER_RATE_BURST="60",
            ROUTER_MAX_PROMPT_BYTES="524288",
        )
        yield Live(stack, model)
        assert stack.stop() == 0
