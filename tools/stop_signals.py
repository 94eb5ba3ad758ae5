"""What a signal does to a program that must not be left half-way."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

#: Ctrl-C, what ends a process, and what a closed terminal sends.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """Somebody stopped the program; the message says how."""


@contextmanager
def stoppable() -> Iterator[None]:
    """The first signal raises ``Stopped``; later ones do not disturb what is cleared up after it."""
    with _handled(_raise):
        yield


@contextmanager
def remembered() -> Iterator[Callable[[], bool]]:
    """Signals interrupt nothing; whether one came. For a program that looks often enough.

    What a handler raises can get lost: Python drops it where it happens to run a finaliser.
    """
    came: list[int] = []
    with _handled(lambda number, _frame: came.append(number)):
        yield lambda: bool(came)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals do nothing: for the one call that must be made."""
    with _handled(signal.SIG_IGN):
        yield


@contextmanager
def left_to(child: subprocess.Popen[Any]) -> Iterator[None]:
    """The child decides what a signal does, and this program waits for it.

    A terminal sends Ctrl-C to both, so only what was sent to this program alone is passed on.
    """

    def passed_on(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT:
            child.terminate()

    with _handled(passed_on):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in STOPS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    for each in STOPS:
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(f"it was stopped by {signal.Signals(number).name}")
