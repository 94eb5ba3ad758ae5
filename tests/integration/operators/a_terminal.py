"""A terminal that a test reads: a command on a pty, and the screen as an emulator (pyte) shows it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pyte

from tests.integration.processes import clean_environment


class Terminal:
    """The screen of one command.

    Attributes:
        raw: all bytes that the command has written.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", leader: int, size: tuple[int, int]) -> None:
        self.process, self.raw = process, b""
        self._leader = leader
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def lines(self) -> list[str]:
        """The screen's lines, without blanks at their ends."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def shows(self, check: str | Callable[[str], Any], seconds: float = 20.0) -> bool:
        """Whether the screen shows this text within that time, or passes the check."""
        wanted = check if callable(check) else (lambda text: check in text)
        deadline = time.monotonic() + seconds
        while not wanted(self.text) and time.monotonic() < deadline and self._read(0.1):
            pass
        return bool(wanted(self.text))

    def press(self, keys: bytes) -> None:
        os.write(self._leader, keys)

    def resize(self, width: int, height: int) -> None:
        """As a window manager does: the kernel tells the command by SIGWINCH."""
        _set_size(self._leader, width, height)
        self._screen.resize(height, width)

    def ended(self) -> int:
        """The exit status; the command has to end by itself."""
        deadline = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.05)
        while self._read(0.05):
            if not select.select([self._leader], [], [], 0)[0]:
                break
        return self.process.wait(timeout=1)

    def settings(self) -> list[Any]:
        """The terminal's modes, such as whether it echoes."""
        return termios.tcgetattr(self._leader)

    def pause(self) -> None:
        """Press Ctrl-Z, and wait until the command has stopped."""
        self.press(b"\x1a")
        while os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOHANG) is None:
            self._read(0.05)  # it stops once it has written what restores the terminal

    def go_on(self) -> None:
        """As a shell's ``fg`` does."""
        self.process.send_signal(signal.SIGCONT)

    def hang_up(self) -> None:
        """Close the terminal's window."""
        os.close(self._leader)

    def _read(self, seconds: float) -> bool:
        """Take what the command has written; False if it has closed the terminal."""
        if not select.select([self._leader], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._leader, 65_536)
        except OSError:  # Linux: nobody has it open any more
            return False
        self.raw += data
        self._stream.feed(data)
        return True


@contextmanager
def on_a_terminal(
    words: Sequence[str], redis_url: str, size: tuple[int, int] = (100, 40), **variables: str
) -> Iterator[Terminal]:
    """``lambda-router-worker`` with these words on a terminal of that width and height."""
    leader, follower = pty.openpty()
    _set_size(leader, *size)
    without_size = {"COLUMNS": "", "LINES": ""}
    usual = {"REDIS_URL": redis_url, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "lambda_router_worker", *words],
        env=clean_environment(**(without_size | usual | variables)),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        preexec_fn=_take_terminal,  # noqa: PLW1509  the keys Ctrl-C and Ctrl-Z reach whom the terminal belongs to
    )
    os.close(follower)
    try:
        yield Terminal(process, leader, size)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=10)
        with suppress(OSError):
            os.close(leader)


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _set_size(terminal: int, width: int, height: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
