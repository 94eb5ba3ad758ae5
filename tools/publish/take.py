"""``python -m tools.publish.take``: ``make package`` from a release's files, without building.

It writes what ``make package`` would write here: the release was built from the same commit.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tools.merge.document import BUILD
from tools.merge.openapi import API_HANDLER
from tools.merge.shape import part
from tools.package import pages
from tools.package.build import build_of, version_of
from tools.package.environment import refuse_variables
from tools.package.source import ARCHITECTURES, CONFIG
from tools.package.writer import contents_table, sums_of
from tools.publish.files import CHECKSUMS, PACKAGED, name_of
from tools.stack.configured import Stack
from tools.stack.refusal import Refusal
from tools.stack.repository import ROOT, SBOM, SUMS, TERRAFORM, ZIP

_LINE = re.compile(r"^([0-9a-f]{64})  (\S+)$", re.MULTILINE)
_CORS = "ROUTER_CORS_ORIGIN"


@click.command()
@click.option("--from", "folder", required=True, type=click.Path(path_type=Path), help="Folder with the files.")
@click.option("--arch", type=click.Choice(ARCHITECTURES), default="x86_64", show_default=True, help="Processors.")
@click.option("--out", default=ROOT / "terraform", type=click.Path(path_type=Path), help="Folder to write into.")
def main(folder: Path, arch: str, out: Path) -> None:
    """Take the package of a release."""
    try:
        for line in take(folder, arch, out):
            click.echo(line)
    except Refusal as refusal:
        sys.exit(f"package: {refusal}")


def take(folder: Path, architecture: str, out: Path, root: Path = ROOT) -> Iterator[str]:
    """Check a release's package and write it where ``make package`` would; yield lines about it.

    Raises:
        Refusal: a file is missing or another one, or this checkout is not the release's. Nothing was written.
    """
    version = version_of(root)
    files = {name: folder / f"{name_of(version, architecture)}{ending}" for name, ending in PACKAGED.items()}
    _refuse_files(folder, list(files.values()), version)
    document = json.loads(files[TERRAFORM].read_text())
    build = part(document, "locals", BUILD)
    _refuse_another_build(build, root)
    _refuse_document(document, architecture)
    stack = Stack(root, out.absolute(), os.environ)
    _refuse_pages(stack)
    refuse_variables(document, stack)
    out.mkdir(parents=True, exist_ok=True)
    for name in (ZIP, SBOM, TERRAFORM):
        (out / name).write_bytes(files[name].read_bytes())
    sums = sums_of(out / ZIP)
    (out / SUMS).write_text(sums.text(ZIP))
    yield from contents_table(out / ZIP)
    yield f"{out.name}/{ZIP}  {(out / ZIP).stat().st_size:,} bytes  sha256 {sums.hexadecimal}"
    yield f"build {build}"


def _refuse_files(folder: Path, files: list[Path], version: str) -> None:
    wanted = f"download it from the release v{version}; for another version, git checkout its tag"
    for path in (folder / CHECKSUMS, *files):
        if not path.is_file():
            raise Refusal(f"{path} is not there: {wanted}")
    listed = {name: digest for digest, name in _LINE.findall((folder / CHECKSUMS).read_text())}
    for path in files:
        if listed.get(path.name) != sums_of(path).hexadecimal:
            raise Refusal(f"{path} is not the file of {CHECKSUMS}: download both again")


def _refuse_another_build(build: str, root: Path) -> None:
    """Raise Refusal if this checkout would build something else: its Terraform might not fit the package."""
    version = version_of(root)
    is_clone = (root / ".git").exists()  # an unpacked source archive has no history
    here = build_of(root) if is_clone else f"{version}+"
    if not (build == here if is_clone else build.startswith(here)):
        raise Refusal(f"the release is build {build}, and this checkout is {here}: git checkout v{version}")


def _refuse_document(document: dict[str, Any], architecture: str) -> None:
    function = part(document, "resource", *API_HANDLER)
    if part(function, "architectures") != [architecture]:
        raise Refusal(f"the release's function is for {part(function, 'architectures')}, wanted {architecture}")
    origin = part(function, "environment", "variables").get(_CORS, "")
    if (wanted := os.environ.get(_CORS, origin)) != origin:
        raise Refusal(
            f"{_CORS} is {wanted!r} in the shell, but it decides which routes a package has, and the release has"
            f" {origin!r}: write your value into {CONFIG}, commit it and build: make package"
        )


def _refuse_pages(stack: Stack) -> None:
    """Raise Refusal if the stack wants the pages: a release is built without them."""
    if pages.of_stack(stack) == "true":
        raise Refusal(f"{pages.VARIABLE} is true, and a release has no pages: make package, which builds this version")


if __name__ == "__main__":
    main()
