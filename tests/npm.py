"""npm's packages for tests: locked, in a folder that git ignores. Where there is no Node, the test is skipped."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest


def run(folder: Path, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program of Node's in a folder that has a ``package.json``."""
    program = shutil.which(command[0])
    if program is None:
        pytest.skip(f"no {command[0]} on PATH: install Node 20 or newer")
    return subprocess.run(
        [program, *command[1:]], cwd=folder, input=given, capture_output=True, text=True, timeout=50, check=False
    )


def install(folder: Path) -> None:
    """Install what the folder's lock file names, unless it is there. One process does, and others wait for it.

    The stamp is written last: an installation that was interrupted is begun anew.
    """
    stamp, lock = folder / "node_modules" / ".installed", folder / "package-lock.json"
    with lock.open() as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        if stamp.exists() and stamp.stat().st_mtime >= lock.stat().st_mtime:
            return
        installed = run(folder, "npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund")
        if installed.returncode:
            pytest.skip(f"npm ci did not get its packages: {installed.stderr.strip()[-200:] or installed.returncode}")
        stamp.touch()
