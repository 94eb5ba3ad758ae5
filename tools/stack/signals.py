"""Signal handling of programs that must not be left half-way."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

#: Ctrl-C, the usual request to end, and the signal of a closed terminal.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ANEW_SECONDS = 0.01


class Stopped(Exception):
    """A signal stopped the program; the message names it."""

    number: signal.Signals | None = None


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise ``Stopped`` at the first signal; later ones do not disturb the cleanup.

    Python drops an exception that a handler raises while a finaliser runs, and passes it to ``sys.unraisablehook``. The
    same signal is then sent again.
    """
    earlier = sys.unraisablehook

    def unraisable(dropped: "sys.UnraisableHookArgs") -> None:
        if not isinstance(dropped.exc_value, Stopped) or dropped.exc_value.number is None:
            earlier(dropped)
            return
        for each in STOPS:
            signal.signal(each, _raise)
        threading.Timer(_ANEW_SECONDS, os.kill, (os.getpid(), dropped.exc_value.number)).start()

    with _handled(_raise):
        sys.unraisablehook = unraisable
        try:
            yield
        finally:
            sys.unraisablehook = earlier


@contextmanager
def remembered() -> Iterator[Callable[[], bool]]:
    """Only record signals; yield a function that returns whether one came. For a program that checks often enough."""
    came: list[int] = []
    with _handled(lambda number, _frame: came.append(number)):
        yield lambda: bool(came)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore signals, for the one call that must be made."""
    with _handled(signal.SIG_IGN):
        yield


@contextmanager
def left_to(child: subprocess.Popen[Any]) -> Iterator[None]:
    """Let the child decide what a signal does, and wait for it.

    A terminal sends Ctrl-C to both, so only signals sent to this program alone are passed on.
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
    stopped = Stopped(f"stopped by {signal.Signals(number).name}")
    stopped.number = signal.Signals(number)
    raise stopped
