"""The stack as a module of other Terraform, such as ``terraform/examples/complete``."""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.stack.configured import Stack
from tools.stack.options import Refused
from tools.stack.repository import ROOT, is_stack
from tools.stack.terraform import Terraform, program

#: The output with the values that the stack was given.
VARIABLES = "stack_variables"


@dataclass(frozen=True)
class ContainedStack(Stack):
    """The stack with the values that a module block gave it.

    Attributes:
        container: the folder with that block, in which Terraform is run.
    """

    container: Path = ROOT

    @property
    def workplace(self) -> Path:
        return self.container

    def tfvars(self) -> list[Path]:
        """Return none: no file beside the stack's own Terraform counts."""
        return []

    def setting(self, name: str, value: Any) -> str:
        """Return the command that opens the file with the block, and what to write there."""
        file, text = self.path(self.container / "main.tf"), json.dumps(value, ensure_ascii=False)
        return f"${{EDITOR:-vi}} {shlex.quote(file)} # in module stack: {name} = {text}"


def stack_in_folder(folder: Path) -> Stack:
    """Return the stack of a folder of Terraform, or the one that this contains.

    Raises:
        Refused: the folder contains a stack, and it was not applied yet.
        TerraformFailed: the state cannot be read.
    """
    if is_stack(folder):
        return Stack(folder=folder)
    given = Terraform(folder).outputs().get(VARIABLES) if _is_applied(folder) else None
    if given is None:
        raise Refused(
            f"{folder.name}/ has no output {VARIABLES} yet, which says what the stack was given:"
            f" {program()} -chdir={folder} apply"
        )
    return ContainedStack(environ=_with_values(os.environ, given), container=folder)


def _is_applied(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("terraform.tfstate", ".terraform/terraform.tfstate"))


def _with_values(environ: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of the environment, with those that set the given values and no others of Terraform's."""
    kept = {name: value for name, value in environ.items() if not name.startswith("TF_VAR_")}
    values = {name: value for name, value in given.items() if value is not None}
    return kept | {
        f"TF_VAR_{name}": value if isinstance(value, str) else json.dumps(value) for name, value in values.items()
    }
