"""Runs Terraform on a copy of ``terraform/``, with the AWS provider from a mirror on disk where there is one."""

import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.contract.repository import ROOT

MIRROR = "registry.terraform.io"
PROVIDER = f"{MIRROR}/hashicorp/aws"
HAND_WRITTEN = ROOT / "terraform"

#: Folders that hold no mirror, and would take long to look through.
_SKIPPED = {"proc", "sys", "dev", "run", "node_modules", ".git", "site-packages", "__pycache__"}
_DEPTH = 5

#: Go collects garbage a quarter as often: most of what Terraform and its provider read lives as long as they do, and
#: collecting took a sixth of their CPU.
GO = {"GOGC": "400"}


class NoTerraform(Exception):
    """Why no test here can run."""


@cache
def find_mirror() -> Path | None:
    """The folder above ``registry.terraform.io``: named by TF_PLUGIN_MIRROR, or found on this disk."""
    named = os.environ.get("TF_PLUGIN_MIRROR")  # noqa: TID251
    if named:
        given = Path(named)
        return given.parent if given.name == MIRROR else given
    return _search(Path(Path.cwd().anchor), _DEPTH)


def _search(folder: Path, depth: int) -> Path | None:
    try:
        inside = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink())
    except OSError:
        return None
    if any((entry / "hashicorp" / "aws").is_dir() for entry in inside if entry.name == MIRROR):
        return folder
    deeper = (entry for entry in inside if depth and entry.name not in _SKIPPED)
    return next((found for entry in deeper if (found := _search(entry, depth - 1))), None)


@cache
def terraform_path() -> str:
    """Where Terraform is.

    Raises:
        NoTerraform: it is not on PATH.
    """
    path = shutil.which("terraform")
    if path is None:
        raise NoTerraform("no terraform on PATH: install Terraform 1.10 or newer")
    return path


def cli_configuration(folder: Path) -> Path:
    """A CLI configuration that takes the provider from the mirror, or from the public registry where there is none."""
    mirror = find_mirror()
    path = folder / "terraform.rc"
    if mirror is None:
        path.write_text("disable_checkpoint = true\n")
        return path
    path.write_text(
        "disable_checkpoint = true\n"
        "provider_installation {\n"
        f"  filesystem_mirror {{\n    path    = {json.dumps(str(mirror))}\n"
        f'    include = ["{PROVIDER}"]\n  }}\n'
        f'  direct {{\n    exclude = ["{PROVIDER}"]\n  }}\n'
        "}\n"
    )
    return path


@dataclass
class Ran:
    status: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return re.sub(r"\x1b\[[0-9;]*m", "", self.out + self.err)


@dataclass
class Terraform:
    """Terraform in one folder."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, fails: bool = False, timeout: float = 150) -> Ran:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))}  # noqa: TID251
        done = subprocess.run(
            ["nice", terraform_path(), *arguments],
            cwd=self.folder,
            env=kept
            | {
                "TF_CLI_CONFIG_FILE": str(self.folder.parent / "terraform.rc"),
                "TF_IN_AUTOMATION": "1",
                "CHECKPOINT_DISABLE": "1",
            }
            | GO
            | self.environ,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        ran = Ran(done.returncode, done.stdout, done.stderr)
        assert fails or ran.status == 0, f"terraform {' '.join(arguments)}\n{ran.said[-6000:]}"
        return ran

    def init(self, *options: str) -> None:
        """With the provider of the lock file.

        Raises:
            NoTerraform: the provider is neither in a mirror nor to be had from the registry.
        """
        ran = self.run("init", "-input=false", "-no-color", *options, fails=True)
        if ran.status != 0 and re.search(r"could not connect|no such host|failed to query|i/o timeout", ran.said, re.I):
            raise NoTerraform(f"no AWS provider on this disk and no way to the registry: {ran.said[-400:]}")
        assert ran.status == 0, ran.said

    def plan(self, *options: str, **variables: Any) -> "Changes":
        """What ``apply`` would do."""
        return self._changes("plan", variables, *options)

    def apply(self, **variables: Any) -> "Changes":
        """What it did."""
        return self._changes("apply", variables, "-auto-approve")

    def save(self, plan: str, *options: str, **variables: Any) -> "Changes":
        """Plan into a file, as ``make plan`` does."""
        return self._changes("plan", variables, f"-out={plan}", *options)

    def apply_saved(self, plan: str) -> "Changes":
        """What that very plan did."""
        return self._changes("apply", None, plan)

    def shown(self, plan: str) -> dict[str, Any]:
        """A saved plan as JSON."""
        return dict(json.loads(self.run("show", "-json", plan).out))

    def _changes(self, command: str, variables: Mapping[str, Any] | None, *options: str) -> "Changes":
        if variables is not None:
            (self.folder / "test.auto.tfvars.json").write_text(json.dumps(variables))
        ran = self.run(command, "-input=false", "-json", "-parallelism=20", *options, fails=True)
        lines = [json.loads(line) for line in ran.out.splitlines() if line.startswith("{")]
        faults = [line["diagnostic"] for line in lines if line["type"] == "diagnostic" and line["@level"] == "error"]
        assert ran.status == 0, json.dumps(faults, indent=1) + ran.err
        planned = [line["change"] for line in lines if line["type"] == "planned_change"]
        summary = next(line["changes"] for line in reversed(lines) if line["type"] == "change_summary")
        return Changes(
            {change["resource"]["addr"]: change["action"] for change in planned if change["action"] != "read"},
            sum(summary[kind] for kind in ("add", "change", "remove")),
            [line["diagnostic"]["summary"] for line in lines if line["type"] == "diagnostic"],
            [
                name
                for line in lines
                if line["type"] == "outputs"
                for name, output in line["outputs"].items()
                if output.get("action", "noop") != "noop"
            ],
        )


@dataclass
class Changes:
    """What a run of Terraform would do or did.

    Attributes:
        actions: what happens to each resource, by address.
        count: Terraform's own number of additions, changes and removals.
        warnings: what it complained of.
        outputs: names of the outputs that change.
    """

    actions: dict[str, str]
    count: int
    warnings: list[str]
    outputs: list[str]


def copy_of_terraform(folder: Path, chalice: Mapping[str, Any]) -> Terraform:
    """``terraform/`` in a temporary folder, with that ``chalice.tf.json`` and a small zip beside it."""
    target = folder / "terraform"
    ignored = shutil.ignore_patterns(".terraform", "chalice.tf.json", "deployment.zip*", "*.tfstate*", "*.tfplan")
    shutil.copytree(HAND_WRITTEN, target, ignore=ignored)
    write_chalice(target, chalice)
    write_zip(target, "def app(event, context): return {'statusCode': 200, 'body': '1'}\n")
    cli_configuration(folder)
    return Terraform(target)


def write_chalice(folder: Path, chalice: Mapping[str, Any]) -> None:
    (folder / "chalice.tf.json").write_text(json.dumps(chalice, indent=2))


def write_zip(folder: Path, source: str) -> None:
    """Code small enough for every run; what really ships is tested where it is packaged."""
    with zipfile.ZipFile(folder / "deployment.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("app.py", (1980, 1, 1, 0, 0, 0)), source)
