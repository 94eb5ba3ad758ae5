"""Terraform in the folder of the stack, as a person there would call it.

OpenTofu in its place is ``TERRAFORM=tofu``, for every tool and make target.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.local_state import ROOT
from tools.stop_signals import left_to


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
    """Terraform is missing or ended with an error; the message is its last lines, or what mends it."""


@dataclass(frozen=True)
class Terraform:
    """Terraform in one folder, which ``terraform init`` has been run in."""

    folder: Path = ROOT / "terraform"

    def outputs(self) -> dict[str, Any]:
        """The values of the stack's outputs, from its state; empty before the first apply.

        Raises:
            TerraformFailed: the state cannot be read.
        """
        return {name: output["value"] for name, output in json.loads(self._asked("output", "-json")).items()}

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

    def refreshed(self) -> dict[str, Any]:
        """A plan that only looks, as JSON: ``resource_drift`` is what is not as the state has it, if there is any.

        The state alone is compared with what there is, so neither the zip nor a variable has to be that of the last
        apply; nothing is locked.

        Raises:
            TerraformFailed: there is no state, or somebody may not read a resource.
        """
        with tempfile.TemporaryDirectory() as folder:
            plan = Path(folder) / "plan"
            self._asked("plan", "-refresh-only", "-lock=false", "-input=false", f"-out={plan}")
            return self.shown(plan)

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
        with subprocess.Popen([_path(), *arguments], cwd=self.folder) as child, left_to(child):
            return child.wait()

    def said(self, *arguments: str, environ: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Each line of a command with ``-json``, whatever its status; in that environment, or in one's own.

        Raises:
            TerraformFailed: there is no Terraform.
        """
        command = [_path(), *arguments, "-json"]
        asked = subprocess.run(
            command, cwd=self.folder, env=environ, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        return [json.loads(line) for line in asked.stdout.splitlines() if line.startswith("{")]

    def _asked(self, *arguments: str) -> str:
        command = [_path(), *arguments]
        asked = subprocess.run(
            command, cwd=self.folder, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if asked.returncode != 0:
            end = "\n".join(asked.stderr.strip().splitlines()[-15:])
            raise TerraformFailed(f"{program()} {arguments[0]} ended with status {asked.returncode}:\n{end}")
        return asked.stdout


def _path() -> str:
    path = shutil.which(program())
    if path is None:
        raise TerraformFailed(
            f"no {program()} on PATH: install Terraform or OpenTofu, 1.10 or newer, and set TERRAFORM to the program's"
            " name if it is not terraform"
        )
    return str(Path(path).absolute())  # it runs in another folder
