"""A clean copy of what ships, so that nothing untracked, generated or cached gets into the package.

Nor does anything that the shell exports: a package is named after its commit, and ``make package`` of one commit always
gives the same zip. So its content comes from the repository, and what differs between accounts comes from Terraform's
variables.
"""

import json
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.stack.refusal import Refusal
from tools.stack.repository import ROOT

#: The files that ``chalice package`` reads.
SHIPPED = ("app.py", "chalicelib", "vendor", "requirements.txt", ".chalice/config.json", ".chalice/policy-dev.json")
CONFIG = ".chalice/config.json"
ARCHITECTURES = ("x86_64", "arm64")

_EXECUTABLE = "100755"
_EXPRESSION = "${"
_VARIABLE = "${var."


def copy_source(target: Path, stage: str, architecture: str | None, root: Path = ROOT) -> None:
    """Copy the tracked files as they are in the working tree, and set the stage's architecture if one is given.

    Raises:
        Refusal: a file that should ship is not tracked, or stage or architecture does not exist.
    """
    executable = _executables(root)
    for name in tracked(root, SHIPPED):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target / name)
        if name in executable:  # git's word counts: the mode of a file depends on how the repository was cloned
            (target / name).chmod(0o755)
    config = json.loads((target / CONFIG).read_text())
    _choose(config, stage, architecture)
    (target / CONFIG).write_text(json.dumps(config))


def tracked(root: Path, paths: Sequence[str]) -> list[str]:
    """Return the names of the tracked files at or below the paths, as they are in the working tree.

    Raises:
        Refusal: there is a file that is neither tracked nor ignored.
    """
    if strays := _listed(root, paths, "--others", "--exclude-standard"):
        raise Refusal(f"{strays[0]} is not tracked, so it would be missing in the package: git add it or remove it")
    return _listed(root, paths, "--cached")


def executables_below(source: Path) -> set[str]:
    """Return the names, as in the package, of the executable files of a copy that ``copy_source`` made."""
    files = (path for path in source.rglob("*") if path.is_file() and path.stat().st_mode & stat.S_IXUSR)
    return {path.relative_to(source).as_posix().removeprefix("vendor/") for path in files}


def _executables(root: Path) -> set[str]:
    """Return the names of the files that are executable in git."""
    entries = (entry.split("\t", 1) for entry in _git_files(root, SHIPPED, "--stage"))
    return {name for mode, name in entries if mode.startswith(_EXECUTABLE)}


def _listed(root: Path, paths: Sequence[str], *options: str) -> list[str]:
    return [name for name in _git_files(root, paths, *options) if (root / name).is_file()]


def _git_files(root: Path, paths: Sequence[str], *options: str) -> list[str]:
    command = ["git", "ls-files", "-z", *options, "--", *paths]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return [entry for entry in listed.split("\0") if entry]


def _choose(config: dict[str, Any], stage: str, architecture: str | None) -> None:
    # Chalice treats an unknown stage as a new one, with default settings.
    if stage not in config["stages"]:
        raise Refusal(f"stage {stage!r} is not in {CONFIG}: choose one of {', '.join(config['stages'])}")
    if architecture is None:
        return
    if architecture not in ARCHITECTURES:
        raise Refusal(f"Lambda has no architecture {architecture!r}: choose {' or '.join(ARCHITECTURES)}")
    config["stages"][stage]["lambda_architecture"] = architecture


def refuse_shell(source: Path, stage: str, shell: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for the exported settings that come from Terraform instead.

    Raises:
        Refusal: the stage's own value of a setting differs from the shell's.
    """
    variables: dict[str, str] = json.loads((source / CONFIG).read_text())["stages"][stage].get(
        "environment_variables", {}
    )
    differing = {name: value for name, value in variables.items() if shell.get(name) and shell[name] != value}
    for name, value in differing.items():
        if _EXPRESSION not in value:
            raise Refusal(
                f"{name} is {shell[name]!r} in the shell, but stage {stage} of {CONFIG} has {value!r}, which the"
                f" package of this commit gets: write your value there and commit it, or unset {name}"
            )
    given = [name for name, value in differing.items() if value.startswith(_VARIABLE)]
    if given:
        yield (
            f"not read from the shell: {', '.join(given)}. For make plan, set Terraform's variables:"
            f" {' '.join(f'TF_VAR_{name.lower()}=…' for name in given)}, or a file terraform/*.auto.tfvars"
        )
    for name, value in differing.items():
        if not value.startswith(_VARIABLE):
            yield f"{name} is {shell[name]!r} in the shell, but Terraform sets it to {value}"
