"""The files of a local stack under ``.local/<port>/``: its lock, its data and logs, and where its parts are."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.stack.repository import ROOT

#: A stack whose parent was killed takes a moment to end.
LOCK_PATIENCE_SECONDS = 3.0


class AlreadyRunning(Exception):
    """Another stack of this checkout uses the port."""


@dataclass(frozen=True)
class LocalState:
    """The folder of the stack on one port; only its owner may read it, because it holds jobs and logs."""

    port: int

    @property
    def folder(self) -> Path:
        return ROOT / ".local" / str(self.port)

    def log(self, part: str) -> Path:
        return self.folder / f"{part}.log"

    @property
    def _file(self) -> Path:
        return self.folder / "stack.json"

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Lock the folder for this stack; yield the lock's file descriptor.

        Children inherit the descriptor, and the kernel keeps the lock until the last of them has ended. So two Valkeys
        never write the same files, even if the first stack was killed.

        Raises:
            AlreadyRunning: a process of another stack on this port is still alive.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as file:
            _lock(file.fileno())
            yield file.fileno()

    def publish(self, facts: Mapping[str, Any]) -> None:
        """Write ``stack.json`` atomically, for ``make token``; only the owner may read it, as it has the Redis URL."""
        draft = self._file.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(facts, file, indent=2)
        draft.replace(self._file)

    def published(self) -> dict[str, Any] | None:
        """Return what ``publish`` wrote, or None if no stack has."""
        try:
            facts: dict[str, Any] = json.loads(self._file.read_text())
        except FileNotFoundError:
            return None
        return facts

    def retract(self) -> None:
        """Remove ``stack.json``."""
        self._file.unlink(missing_ok=True)


def _lock(descriptor: int) -> None:
    deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.1)
    raise AlreadyRunning
