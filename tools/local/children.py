"""The processes of the local stack: detached from the terminal, watched, and never left behind."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.local.state import LocalState
from tools.stack.repository import ROOT
from tools.stack.signals import Stopped

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
TAIL_LINES = 20


class ChildDied(Exception):
    """A process ended by itself; the message shows the end of its log."""


@dataclass(frozen=True)
class Child:
    """One process and its log."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def check(self) -> None:
        """Raise ChildDied unless the process runs."""
        status = self.process.poll()
        if status is None:
            return
        how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        end = "\n".join(f"  | {line}" for line in lines or ["(nothing)"])
        raise ChildDied(f"{self.name} died ({how}); the end of {self.log.relative_to(ROOT)}:\n{end}")


class Children:
    """The processes of one stack.

    Args:
        stopped: returns whether a signal asked to stop.
    """

    def __init__(self, state: LocalState, lock: int, stopped: Callable[[], bool]) -> None:
        self._state = state
        self._lock = lock
        self._stopped = stopped
        self._children: list[Child] = []

    @property
    def pids(self) -> dict[str, int]:
        return {child.name: child.process.pid for child in self._children}

    def start(self, name: str, command: Sequence[str], environ: Mapping[str, str], *, folder: Path = ROOT) -> None:
        """Run a command with only this environment, and with its output in a fresh ``<name>.log``."""
        path = self._state.log(name)
        with path.open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C is for the parent, which stops them in order
                pass_fds=[self._lock],
                preexec_fn=die_with_parent(),  # noqa: PLW1509  the parent has one thread
            )
        self._children.append(Child(name, process, path))

    def check(self) -> None:
        """Raise ChildDied unless all processes run, and Stopped if they have to stop."""
        if self._stopped():
            raise Stopped("stopped by a signal")
        for child in self._children:
            child.check()

    def wait_until(self, ready: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
        """Wait until ``ready`` returns True.

        Raises:
            ChildDied: a process died meanwhile, or the wait took too long.
            Stopped: a signal asked to stop.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ChildDied(
                    f"{what} took more than {seconds:g} s; see {self._state.folder.relative_to(ROOT)}/*.log"
                )
            time.sleep(0.05)
        self.check()  # a foreign process on the same port may have answered

    def stop(self, names: Sequence[str], seconds: float) -> None:
        """Send SIGTERM to these processes, and SIGKILL to those that still run after that time."""
        chosen = [child for child in self._children if child.name in names]
        for child in chosen:
            child.process.terminate()
        deadline = time.monotonic() + seconds
        for child in chosen:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()


def die_with_parent() -> Callable[[], None] | None:
    """Return a function that makes the Linux kernel kill a child when its parent dies, even by SIGKILL.

    On other systems it is None, and the lock shows that children are still alive.
    """
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def arrange() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died between fork and prctl
            os._exit(1)

    return arrange
