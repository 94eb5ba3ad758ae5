"""Bodies in pieces that a test watches, and answers as the app returns them."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

from tests.streaming.runtime_double import LONG


class Watched:
    """Pieces that count how often they are closed, and tell when."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.closed = 0
        self.is_closed = threading.Event()

    def __iter__(self) -> "Watched":
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        self.closed += 1
        self.is_closed.set()

    def require_closed_once(self) -> None:
        assert self.is_closed.wait(LONG)
        assert self.closed == 1


def answer(body: Any, status: int = 200, **members: Any) -> dict[str, Any]:
    headers = {"Content-Type": "text/event-stream"}
    return {
        "statusCode": status,
        "headers": headers,
        "multiValueHeaders": {"X-Twice": ["1", "2"]},
        "body": body,
    } | members


def always(body: Any, status: int = 200, **members: Any) -> Callable[[Any, Any], dict[str, Any]]:
    """A handler that answers every event with that."""
    return lambda event, context: answer(body, status, **members)


def ticking() -> Generator[bytes]:
    """A word, and then nothing, for as long as anybody asks."""
    yield b"first"
    while True:
        time.sleep(0.01)
        yield b""


def failing(*pieces: bytes) -> Generator[bytes]:
    yield from pieces
    raise ValueError("a secret of the caller")
