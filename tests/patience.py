"""Waiting for what is to come."""

import asyncio
import time
from collections.abc import Callable
from typing import Any


def eventually(check: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true answer within that time, or the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(0.01)


async def soon(check: Callable[[], Any], seconds: float = 10.0) -> Any:
    """``eventually`` beside a running event loop."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer or time.monotonic() > deadline:
            return answer
        await asyncio.sleep(0.01)
