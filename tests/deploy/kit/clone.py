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
from tests.deploy.kit.terraform_cli import GO, Ran

#: What would reach the programs from whoever runs the tests, themselves perhaps under ``make``.
_FOREIGN = ("AWS_", "TF_", "MAKE", "MFLAGS", *OWN_PREFIXES)
#: Targets that fetch packages.
INSTALLS = ("install", "audit-tools", "gateway-tools")
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

    def cloned(self, root: Path) -> "Clone":
        """Its last commit in yet another folder, with the same variables."""
        subprocess.run(["git", "clone", "-q", str(self.root), str(root)], check=True)
        return Clone(root, dict(self.environ))

    def commit(self) -> None:
        for command in (["add", "."], ["-c", "user.name=a", "-c", "user.email=b@example.com", "commit", "-qm", "all"]):
            subprocess.run(["git", *command], cwd=self.root, check=True)

    def make(self, *words: str, environ: dict[str, str] | None = None, answer: str = "") -> Ran:
        """``make WORDS``, installing nothing.

        The status is that of the command which make ran, since make's own is 2 whatever that was.

        Args:
            answer: what is typed.
        """
        with self.start(*words, environ=environ) as started:
            out, err = started.communicate(answer)
        failed = _STATUS.search(err)
        return Ran(int(failed[1]) if failed else started.returncode, out, err)

    def start(self, *words: str, environ: dict[str, str] | None = None) -> "subprocess.Popen[str]":
        """The same, without waiting for it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}  # noqa: TID251
        return subprocess.Popen(
            ["nice", "make", "-s", *(word for target in INSTALLS for word in ("-o", target)), *words],
            cwd=self.root,
            env=kept | {"LC_ALL": "C.UTF-8"} | GO | self.environ | (environ or {}),
            umask=0o077,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
