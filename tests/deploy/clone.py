"""This checkout in another folder, under git, and ``make`` in it as a person would call it."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from chalicelib.settings import OWN_PREFIXES
from tests.contract.repository import files, name_of
from tests.deploy.terraform_cli import GO, Ran

#: What would reach the programs from whoever runs the tests, themselves perhaps under ``make``.
_FOREIGN = ("AWS_", "TF_", "MAKE", "MFLAGS", *OWN_PREFIXES)
_STATUS = re.compile(r"^make: \*\*\* .* Error (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Clone:
    """A folder with the tracked files, committed.

    Attributes:
        root: the folder.
        environ: variables of every command there.
    """

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    def into(cls, root: Path) -> "Clone":
        """This checkout as it lies there, changes that are in no commit included, with another time on each file."""
        for path in files():
            target = root / name_of(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
            os.utime(target, (1_000_000_000, 1_000_000_000))
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        # The Python of these tests, which has the packages that `install` would bring, where the Makefile looks for it.
        (root / ".venv").symlink_to(sys.prefix)
        clone = cls(root)
        clone.commit()
        return clone

    def commit(self) -> None:
        for command in (["add", "."], ["-c", "user.name=a", "-c", "user.email=b@example.com", "commit", "-qm", "all"]):
            subprocess.run(["git", *command], cwd=self.root, check=True)

    def make(self, *words: str, environ: dict[str, str] | None = None) -> Ran:
        """``make WORDS``, installing nothing.

        The status is that of the command which make ran, since make's own is 2 whatever that was.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}  # noqa: TID251
        done = subprocess.run(
            ["make", "-s", "-o", "install", *words],
            cwd=self.root,
            env=kept | {"LC_ALL": "C.UTF-8"} | GO | self.environ | (environ or {}),
            umask=0o077,
            check=False,
            capture_output=True,
            text=True,
        )
        failed = _STATUS.search(done.stderr)
        return Ran(int(failed[1]) if failed else done.returncode, done.stdout, done.stderr)
