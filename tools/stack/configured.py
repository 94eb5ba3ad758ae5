"""The stack about to be deployed, as the checks see it: its variables, its backend, its AWS clients."""

import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tools.stack import aws
from tools.stack.backend import STATE_FILE, StateFile
from tools.stack.declarations import blocks
from tools.stack.repository import ROOT
from tools.stack.terraform import Terraform

_PLAN = "values.tfplan"
_TFVARS = ("terraform.tfvars", "terraform.tfvars.json", "*.auto.tfvars", "*.auto.tfvars.json")
_VALIDATION = re.compile(r"\n*^  validation \{\n.*?^  \}\n", re.MULTILINE | re.DOTALL)
#: These would make Terraform use the stack's state instead of the scratch folder.
_ELSEWHERE = ("TF_DATA_DIR", "TF_WORKSPACE", "TF_CLI_ARGS")


class Unknown(Exception):
    """A fact that a check depends on is unknown; the message names it."""


@dataclass(frozen=True)
class Stack:
    """A folder of Terraform, and the environment in which it would run.

    Attributes:
        root: the repository; printed commands are meant to be run there.
        folder: the stack's Terraform.
        environ: the environment variables.
        connect: makes an AWS client from a service and a region.
    """

    root: Path = ROOT
    folder: Path = ROOT / "terraform"
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    connect: Callable[[str, str], Any] = aws.client

    @property
    def diagnostics(self) -> list[dict[str, Any]]:
        """Terraform's errors and warnings about the variables, as in its JSON output.

        Raises:
            TerraformFailed: Terraform is not installed.
        """
        return self._judged[0]

    @cached_property
    def values(self) -> dict[str, Any]:
        """The variables' values, valid or not; None for one that is not set.

        Raises:
            TerraformFailed: Terraform is not installed.
            Unknown: Terraform cannot read a value.
        """
        values = self._judged[1] or self._planned({name: _lenient(body) for name, body in self.declared.items()})[1]
        if values is None:
            raise Unknown("Terraform cannot read the variables' values: fix the variables first")
        return values

    @cached_property
    def _judged(self) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        return self._planned(self.declared)

    def _planned(self, declared: Mapping[str, str]) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """Return Terraform's diagnostics, and the values unless one of the diagnostics is an error."""
        with self._scratch(declared) as (terraform, environ):
            said = terraform.said("plan", "-input=false", f"-out={_PLAN}", environ=environ)
            diagnostics = [line["diagnostic"] for line in said if line["type"] == "diagnostic"]
            if any(each["severity"] == "error" for each in diagnostics):
                return diagnostics, None
            shown = terraform.shown(terraform.folder / _PLAN)
        return diagnostics, {name: variable.get("value") for name, variable in shown["variables"].items()}

    @cached_property
    def declared(self) -> dict[str, str]:
        """The body of every variable's block, by name."""
        texts = [path.read_text(encoding="utf-8") for path in sorted(self.folder.glob("*.tf"))]
        return {name: body for text in texts for kind, name, body in blocks(text) if kind == "variable"}

    @cached_property
    def backend(self) -> dict[str, Any]:
        """Bucket, key and region from ``terraform init``; empty before it."""
        path = self.data / STATE_FILE
        if not path.exists():
            return {}
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get("backend", {}).get("config", {})
        return kept

    @property
    def data(self) -> Path:
        """The folder in which ``terraform init`` keeps what it fetched."""
        return self.workplace / self.environ.get("TF_DATA_DIR", ".terraform")

    @property
    def workplace(self) -> Path:
        """The folder in which Terraform is run."""
        return self.folder

    @property
    def state_file(self) -> StateFile | None:
        """The state, if it is a file; None if it is in S3, or before the first apply."""
        return StateFile.in_folder(self.workplace, self.environ)

    @property
    def region(self) -> str:
        return self.text("aws_region")

    def text(self, name: str) -> str:
        """Return a variable's value as Terraform converts it to text; empty if it has none."""
        value = self.values.get(name)
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    def aws(self, service: str, region: str = "") -> Any:
        """Return an AWS client in the stack's region, or in another.

        Raises:
            Unknown: the region is not set.
        """
        if not (region or self.region):
            raise Unknown("aws_region is not set")
        return self.connect(service, region or self.region)

    def tfvars(self) -> list[Path]:
        """Return the files from which Terraform reads values by itself, in its order: the last one wins."""
        return [path for pattern in _TFVARS for path in sorted(self.folder.glob(pattern))]

    def path(self, path: Path) -> str:
        """Return the path to print, relative to the repository's root if it is below that."""
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)

    def setting(self, name: str, value: Any) -> str:
        """Return the command that changes a variable in the place where it is set now."""
        text = json.dumps(value, ensure_ascii=False)
        for file in reversed(self.tfvars()):
            if re.search(rf'^ *{name} *=|"{name}" *:', file.read_text(encoding="utf-8"), re.MULTILINE):
                in_hcl, in_json = f"s|^ *{name} *=.*|{name} = {text}|", f's|"{name}": *[^,}}]*|"{name}": {text}|'
                return f"sed -i {shlex.quote(in_json if file.suffix == '.json' else in_hcl)} {self.path(file)}"
        if f"TF_VAR_{name}" in self.environ:
            return f"export TF_VAR_{name}={shlex.quote(str(value))}"
        return f"echo {shlex.quote(f'{name} = {text}')} >> {self.path(self.folder)}/stack.auto.tfvars"

    @contextmanager
    def _scratch(self, declared: Mapping[str, str]) -> Iterator[tuple[Terraform, Mapping[str, str]]]:
        """Make a folder with only variables and their values, which needs no ``init``, provider or network."""
        environ = {name: value for name, value in self.environ.items() if not name.startswith(_ELSEWHERE)}
        with tempfile.TemporaryDirectory() as name:
            written = [f'variable "{name}" {{\n{body}}}\n' for name, body in declared.items()]
            (Path(name) / "variables.tf").write_text("\n".join(written), encoding="utf-8")
            for path in self.tfvars():
                shutil.copy(path, name)
            yield Terraform(Path(name)), environ


def _lenient(body: str) -> str:
    """Return the variable without its rules and with a default, so that it accepts any value; other checks judge it."""
    lines = re.sub(r"^  nullable +=.*\n", "", _VALIDATION.sub("\n", body), flags=re.MULTILINE)
    return lines if re.search(r"^  default +=", lines, re.MULTILINE) else lines + "  default = null\n"


def commas(value: str) -> Iterator[str]:
    """Return the parts of a comma-separated value."""
    return (part.strip() for part in value.split(",") if part.strip())
