"""``python -m tools.publish.files``: the files of a release.

The zip and the API for each kind of processor, the wheels and source distributions of worker and callers' kit, what
each contains or needs, and a checksum of everything. The same commit gives the same files.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from tools.package.__main__ import package
from tools.package.sbom import document
from tools.package.source import ARCHITECTURES
from tools.package.wheels import locked
from tools.package.writer import sums_of
from tools.publish import wheels
from tools.publish.notes import checked_version, tag_option
from tools.stack.refusal import Refusal
from tools.stack.repository import ROOT, SBOM, TERRAFORM, ZIP

FOLDER = ROOT / "build/release"
CHECKSUMS = "SHA256SUMS"
#: What ``make package`` writes, and how a release's file ends.
PACKAGED = {ZIP: ".zip", TERRAFORM: ".tf.json", SBOM: ".cdx.json"}
#: The stage whose package Terraform deploys.
_STAGE = "terraform"


@click.command()
@tag_option
@click.option("--out", default=FOLDER, type=click.Path(path_type=Path), help="Folder to write into; it is emptied.")
def main(tag: str | None, out: Path) -> None:
    """Write the files of this version's release."""
    try:
        version = checked_version(tag)
        refuse_changes()
        with tempfile.TemporaryDirectory() as name:
            for architecture in ARCHITECTURES:
                for line in package(_STAGE, architecture, Path(name) / architecture, {}):
                    click.echo(line)
            assemble(out, version, {each: Path(name) / each for each in ARCHITECTURES})
    except Refusal as refusal:
        sys.exit(f"files: {refusal}")
    click.echo((out / CHECKSUMS).read_text(), nl=False)


def name_of(version: str, architecture: str) -> str:
    """Return the beginning of the names of a package's files."""
    return f"lambda-router-{version}-{architecture}"


def refuse_changes(root: Path = ROOT) -> None:
    """Raise Refusal if a tracked file differs from its commit: nobody could build the same files again."""
    command = ["git", "status", "--porcelain", "--untracked-files=no"]
    changed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.split()
    if changed:
        raise Refusal(f"{changed[1]} has changes that are in no commit: commit them, or git restore {changed[1]}")


def assemble(out: Path, version: str, packages: dict[str, Path], root: Path = ROOT) -> None:
    """Write the files into a folder, which is emptied before.

    Args:
        packages: the folders that ``make package`` wrote, by architecture.

    Raises:
        Refusal: the wheel cannot be built.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for architecture, folder in packages.items():
        for name, ending in PACKAGED.items():
            shutil.copyfile(folder / name, out / f"{name_of(version, architecture)}{ending}")
    for project in wheels.PROJECTS:
        wheel, _ = wheels.build(out, root, project)
        pins = [pin.partition("==") for pin in locked((root / project.requirements).read_text())]
        needed = [(name, number) for name, _, number in pins]
        listed = document(project.name, version, sums_of(wheel).hexadecimal, needed)
        (out / f"{project.distribution}-{version}.cdx.json").write_text(listed)
    (out / CHECKSUMS).write_text("".join(_checksums(out)))


def _checksums(folder: Path) -> Iterator[str]:
    """Yield lines for ``sha256sum --check``, in the order of the names."""
    for path in sorted(folder.iterdir()):
        yield f"{sums_of(path).hexadecimal}  {path.name}\n"


if __name__ == "__main__":
    main()
