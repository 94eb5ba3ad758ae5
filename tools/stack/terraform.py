"""Terraform in the folder of the stack, as a person there would call it.

OpenTofu in its place is ``TERRAFORM=tofu``, for every tool and make target.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tools.stack.backend import Backend, StateUnread
from tools.stack.repository import ROOT
from tools.stack.signals import left_to

_LOCK_MINUTES = 5


def program() -> str:
    """What is run, and what printed commands begin with: a name on PATH, or a file."""
    return os.environ.get("TERRAFORM") or "terraform"


def is_opentofu() -> bool:
    """Whether the program is OpenTofu, by its name."""
    return "tofu" in Path(program()).name


def registry() -> str:
    """Where the program takes providers from; lock files and ``.terraform`` name it."""
    return "registry.opentofu.org" if is_opentofu() else "registry.terraform.io"


class TerraformFailed(Exception):
    """Terraform is missing, ended with an error or left no state to read; the message is its last lines, or the fix."""


@dataclass(frozen=True)
class Terraform:
    """Terraform in one folder, which ``terraform init`` has been run in."""

    folder: Path = ROOT / "terraform"

    @property
    def backend(self) -> Backend:
        """Where the state is; before ``terraform init`` it is where the environment says.

        Raises:
            TerraformFailed: neither says it.
        """
        with _unread():
            return Backend.of(self.folder, os.environ)

    def outputs(self) -> dict[str, Any]:
        """The values of the stack's outputs, from its state; empty before the first apply.

        The state itself is read, so this needs neither ``make package`` nor ``make init``.

        Raises:
            TerraformFailed: the state cannot be read.
        """
        with _unread():
            backend = self.backend
            try:
                return backend.outputs()
            except (ClientError, BotoCoreError) as why:
                raise StateUnread(f"{backend}: {why}") from why

    def read(self, plan: Path) -> str:
        """A saved plan as people read it, without the values of what is sensitive.

        Raises:
            TerraformFailed: it is no plan of this folder.
        """
        return self._asked("show", "-no-color", str(plan))

    def shown(self, plan: Path) -> dict[str, Any]:
        """A saved plan as JSON (https://developer.hashicorp.com/terraform/internals/json-format).

        Raises:
            TerraformFailed: it is no plan of this folder.
        """
        shown: dict[str, Any] = json.loads(self._asked("show", "-json", str(plan)))
        return shown

    def drifted(self) -> list[dict[str, Any]]:
        """``resource_drift`` of a plan: resources that are not as the state has them, with ``before`` and ``after``.

        The state alone is compared with what there is, so neither the zip nor a variable has to be that of the last
        apply; nothing is locked.

        Raises:
            TerraformFailed: there is no state, or somebody may not read a resource.
        """
        with tempfile.TemporaryDirectory() as folder:
            plan = Path(folder) / "plan"
            self._asked("plan", "-refresh-only", "-lock=false", "-input=false", f"-out={plan}")
            drift: list[dict[str, Any]] = self.shown(plan).get("resource_drift", [])
        return drift

    def version(self) -> tuple[int, ...]:
        """Such as ``(1, 11, 4)``.

        Raises:
            TerraformFailed: there is none.
        """
        said = json.loads(self._asked("version", "-json"))["terraform_version"]
        return tuple(int(number) for number in re.findall(r"\d+", said)[:3])

    def run(self, *arguments: str) -> int:
        """Run a command whose output is for the person who waits for it; its exit status.

        What is stopped is Terraform, which then ends in its own time and gives its lock back.

        Raises:
            TerraformFailed: there is no Terraform.
        """
        with subprocess.Popen([terraform_path(), *arguments], cwd=self.folder) as child, left_to(child):
            return child.wait()

    def run_locked(self, command: str, *arguments: str) -> int:
        """Run a command that takes the state's lock. Terraform waits for it in silence, so say first who holds it.

        Raises:
            TerraformFailed: there is no Terraform.
        """
        with suppress(TerraformFailed, ClientError, BotoCoreError):  # Terraform tells why it cannot reach the state
            if (held := self.backend.lock()) is not None:
                unlock = f"{program()} -chdir={self.folder.name} force-unlock {held.number}"
                wait = f"waiting for it, {_LOCK_MINUTES} minutes at most"
                print(f"the state's lock is {held}: {wait}; if nobody is at work: {unlock}", flush=True)
        return self.run(command, f"-lock-timeout={_LOCK_MINUTES}m", *arguments)

    def said(self, *arguments: str, environ: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Each line of a command with ``-json``, whatever its status; in that environment, or in one's own.

        Raises:
            TerraformFailed: there is no Terraform.
        """
        command = [terraform_path(), *arguments, "-json"]
        asked = subprocess.run(
            command, cwd=self.folder, env=environ, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        return [json.loads(line) for line in asked.stdout.splitlines() if line.startswith("{")]

    def _asked(self, *arguments: str) -> str:
        command = [terraform_path(), *arguments]
        asked = subprocess.run(
            command, cwd=self.folder, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if asked.returncode != 0:
            end = "\n".join(asked.stderr.strip().splitlines()[-15:])
            raise TerraformFailed(f"{program()} {arguments[0]} ended with status {asked.returncode}:\n{end}")
        return asked.stdout


@contextmanager
def _unread() -> Iterator[None]:
    try:
        yield
    except StateUnread as why:
        raise TerraformFailed(str(why)) from why


def terraform_path() -> str:
    """The program.

    Raises:
        TerraformFailed: it is not on PATH.
    """
    path = shutil.which(program())
    if path is None:
        raise TerraformFailed(
            f"no {program()} on PATH: install Terraform or OpenTofu, 1.10 or newer, and set TERRAFORM to the program's"
            " name if it is not terraform"
        )
    return str(Path(path).absolute())  # it runs in another folder
