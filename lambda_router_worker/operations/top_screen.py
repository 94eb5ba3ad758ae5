"""The terminal of ``lambda-router-worker top``: keys, size, signals, and everything as it was afterwards."""

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

#: Signals that end the command: Ctrl-C, a polite end, and a terminal that was closed.
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_QUIT = b"qQ"


class Screen:
    """A picture on the terminal's second screen, while it is entered. Use it within a running event loop.

    Attributes:
        over: set when the user wants to leave.
        changed: set when the picture has to be drawn again: a key was pressed, or the size has changed.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(
            console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self.over = asyncio.Event()
        self.changed = asyncio.Event()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Show the second screen, and give the first one back however this ends."""
        loop = asyncio.get_running_loop()
        for end in _ENDS:
            loop.add_signal_handler(end, self._leave)
        loop.add_signal_handler(signal.SIGWINCH, self.changed.set)
        keys = _Keys(self._pressed, self._leave)
        loop.add_signal_handler(signal.SIGTSTP, self._pause, keys)
        try:
            keys.read()
            self._fit()
            self._live.start()
            yield
        finally:
            with suppress(OSError):  # the terminal may be gone
                self._live.stop()
            keys.restore()

    def draw(self, picture: Callable[[int, int], RenderableType]) -> None:
        """Draw a picture for the terminal's size. A terminal that is gone ends the command."""
        self.changed.clear()
        size = self._fit()
        try:
            self._live.update(picture(*size), refresh=True)
        except OSError:
            self._leave()

    def _fit(self) -> tuple[int, int]:
        """Take the terminal's size from itself: the variable COLUMNS keeps the one that it had."""
        with suppress(OSError):
            width, height = os.get_terminal_size(sys.stdout.fileno())
            if width and height:
                self._console.size = width, height
        return self._console.size

    def _leave(self) -> None:
        self.over.set()
        self.changed.set()

    def _pressed(self, keys: bytes) -> None:
        if any(key in _QUIT for key in keys):
            self._leave()
        self.changed.set()

    def _pause(self, keys: "_Keys") -> None:
        """Ctrl-Z: give the terminal back, stop, and take it again when the shell lets this go on."""
        self._live.stop()
        keys.restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        keys.read()
        self._live.start()
        self.changed.set()


class _Keys:
    """Keys as they are pressed, without the Enter key and unseen; none if standard input is no terminal."""

    def __init__(self, pressed: Callable[[bytes], None], gone: Callable[[], None]) -> None:
        self._pressed = pressed
        self._gone = gone
        self._before: list[Any] | None = None

    def read(self) -> None:
        if sys.stdin is None or not sys.stdin.isatty():
            return
        descriptor = sys.stdin.fileno()
        self._before = termios.tcgetattr(descriptor)
        tty.setcbreak(descriptor)
        asyncio.get_running_loop().add_reader(descriptor, self._take, descriptor)

    def restore(self) -> None:
        if self._before is None:
            return
        descriptor = sys.stdin.fileno()
        asyncio.get_running_loop().remove_reader(descriptor)
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, self._before)

    def _take(self, descriptor: int) -> None:
        try:
            keys = os.read(descriptor, 1024)
        except OSError:
            keys = b""
        if keys:
            self._pressed(keys)
        else:
            asyncio.get_running_loop().remove_reader(descriptor)
            self._gone()
