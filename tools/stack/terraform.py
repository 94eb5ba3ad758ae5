"""Terraform in the stack's folder, called as a person would call it.

``TERRAFORM=tofu`` selects OpenTofu instead, for every tool and make target.
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

from tools.stack.backend import Backend, StateFile, StateUnread
from tools.stack.repository import ROOT
from tools.stack.signals import left_to

_LOCK_MINUTES = 5


def program() -> str:
    """Return the program, as it is run and as commands print it: a name on PATH, or a file."""
    return os.environ.get("TERRAFORM") or "terraform"


def is_opentofu() -> bool:
    """Return whether the program is OpenTofu, judged by its name."""
    return "tofu" in Path(program()).name


def registry() -> str:
    """Return the registry of the program's providers, as lock files and ``.terraform`` name it."""
    return "registry.opentofu.org" if is_opentofu() else "registry.terraform.io"


class TerraformFailed(Exception):
    """Terraform is missing, failed, or left no readable state; the message is its last lines, or the fix."""


@dataclass(frozen=True)
class Terraform:
    """Terraform in one folder, in which ``terraform init`` has been run."""

    folder: Path = ROOT / "terraform"

    @property
    def backend(self) -> Backend:
        """The state's location in S3; before ``terraform init`` the one that the environment names.

        Raises:
            TerraformFailed: neither names one.
        """
        with _unread():
            return Backend.of(self.folder, os.environ)

    @property
    def state(self) -> Backend | StateFile:
        """The state's location: a file in a folder without a backend, as in ``terraform/examples``.

        Raises:
            TerraformFailed: there is no file, and nothing names a place in S3.
        """
        return StateFile.in_folder(self.folder, os.environ) or self.backend

    def outputs(self) -> dict[str, Any]:
        """Return the values of the stack's outputs, from its state; empty before the first apply.

        The state itself is read, so this needs neither ``make package`` nor ``make init``.

        Raises:
            TerraformFailed: the state cannot be read.
        """
        with _unread():
            state = self.state
            try:
                return state.outputs()
            except (ClientError, BotoCoreError) as why:
                raise StateUnread(f"{state}: {why}") from why

    def read(self, plan: Path) -> str:
        """Return a saved plan as text for people, without sensitive values.

        Raises:
            TerraformFailed: the file is not a plan of this folder.
        """
        return self._asked("show", "-no-color", str(plan))

    def shown(self, plan: Path) -> dict[str, Any]:
        """Return a saved plan as JSON (https://developer.hashicorp.com/terraform/internals/json-format).

        Raises:
            TerraformFailed: the file is not a plan of this folder.
        """
        shown: dict[str, Any] = json.loads(self._asked("show", "-json", str(plan)))
        return shown

    def drifted(self) -> list[dict[str, Any]]:
        """Return ``resource_drift`` of a plan: resources that differ from the state, with ``before`` and ``after``.

        Only the state is compared with AWS, so neither the zip nor a variable has to be that of the last apply. Nothing
        is locked.

        Raises:
            TerraformFailed: there is no state, or permission to read a resource is missing.
        """
        with tempfile.TemporaryDirectory() as folder:
            plan = Path(folder) / "plan"
            self._asked("plan", "-refresh-only", "-lock=false", "-input=false", f"-out={plan}")
            drift: list[dict[str, Any]] = self.shown(plan).get("resource_drift", [])
        return drift

    def version(self) -> tuple[int, ...]:
        """Return the version, such as ``(1, 11, 4)``.

        Raises:
            TerraformFailed: Terraform is not installed.
        """
        said = json.loads(self._asked("version", "-json"))["terraform_version"]
        return tuple(int(number) for number in re.findall(r"\d+", said)[:3])

    def run(self, *arguments: str) -> int:
        """Run a command and let it print; return its exit status.

        A signal stops Terraform, which then ends in its own time and releases its lock.

        Raises:
            TerraformFailed: Terraform is not installed.
        """
        with subprocess.Popen([terraform_path(), *arguments], cwd=self.folder) as child, left_to(child):
            return child.wait()

    def run_locked(self, command: str, *arguments: str) -> int:
        """Run a command that takes the state's lock, and first print who holds it: Terraform waits silently.

        Raises:
            TerraformFailed: Terraform is not installed.
        """
        with suppress(TerraformFailed, ClientError, BotoCoreError):  # Terraform reports why it cannot reach the state
            if (held := self.backend.lock()) is not None:
                unlock = f"{program()} -chdir={self.folder.name} force-unlock {held.number}"
                wait = f"waiting for at most {_LOCK_MINUTES} minutes"
                print(f"the state's lock is {held}: {wait}; if no other run is active: {unlock}", flush=True)
        return self.run(command, f"-lock-timeout={_LOCK_MINUTES}m", *arguments)

    def said(self, *arguments: str, environ: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Return the JSON lines of a command with ``-json``, whatever its status; ``environ`` is ours by default.

        Raises:
            TerraformFailed: Terraform is not installed.
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
    """Return the program's absolute path.

    Raises:
        TerraformFailed: it is not on PATH.
    """
    path = shutil.which(program())
    if path is None:
        raise TerraformFailed(
            f"no {program()} on PATH: install Terraform or OpenTofu, 1.10 or newer, and set TERRAFORM to the program's"
            " name if it is not terraform"
        )
    return str(Path(path).absolute())  # the program runs in another folder
