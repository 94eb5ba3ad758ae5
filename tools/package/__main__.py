"""``python -m tools.package``: the function as a zip and the API as Terraform, checked and reproducible."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from tools.merge.document import BODY, merge, named
from tools.merge.openapi import API_HANDLER
from tools.merge.shape import part
from tools.package import pages
from tools.package.build import build_of, stamp
from tools.package.bytecode import compile_all
from tools.package.chalice import chalice_package
from tools.package.contents import shipped
from tools.package.environment import refuse_variables
from tools.package.golden import as_text
from tools.package.routes import refuse_routes
from tools.package.sbom import sbom
from tools.package.source import ARCHITECTURES, copy_source, executables_below, refuse_shell
from tools.package.wheels import refuse_wheels
from tools.package.writer import contents_table, sums_of, unpack, write_zip
from tools.stack.configured import Stack
from tools.stack.refusal import Refusal
from tools.stack.repository import ROOT, SBOM, SUMS, TERRAFORM, ZIP


@click.command()
@click.option("--stage", default="terraform", show_default=True, help="Stage of .chalice/config.json.")
@click.option("--arch", default=None, help=f"{' or '.join(ARCHITECTURES)}; by default the stage's own.")
@click.option("--out", default=ROOT / "terraform", type=click.Path(path_type=Path), help="Folder to write into.")
def main(stage: str, arch: str | None, out: Path) -> None:
    """Package the function and the API for Terraform."""
    try:
        for line in package(stage, arch, out, os.environ):
            click.echo(line)
    except Refusal as refusal:
        sys.exit(f"package: {refusal}")


def package(
    stage: str, architecture: str | None, out: Path, shell: Mapping[str, str], root: Path = ROOT
) -> Iterator[str]:
    """Write the zip, its checksum, its SBOM and the Terraform document; yield lines about what was made.

    Raises:
        Refusal: the package cannot be made; the folder stays as it was.
    """
    stack = Stack(root, out.absolute())
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        copy_source(work / "source", stage, architecture, root)
        yield from refuse_shell(work / "source", stage, shell)
        is_on = pages.wanted(work / "source", stage, stack)
        pages.choose(work / "source", stage, is_on=is_on)
        build = build_of(root, has_pages=is_on)
        document = chalice_package(work / "source", stage, work / "chalice")
        refuse_variables(document, stack)
        refuse_routes(json.loads(part(document, "locals", BODY)))
        build_zip(work / "chalice" / ZIP, document, build, work)
        merged = as_text(named(merge(document), build))
        out.mkdir(parents=True, exist_ok=True)
        (out / ZIP).write_bytes((work / ZIP).read_bytes())
        (out / SBOM).write_bytes((work / SBOM).read_bytes())
    sums = sums_of(out / ZIP)
    (out / SUMS).write_text(sums.text(ZIP))
    (out / TERRAFORM).write_text(merged)
    yield from contents_table(out / ZIP)
    yield f"{out.name}/{ZIP}  {(out / ZIP).stat().st_size:,} bytes  sha256 {sums.hexadecimal}"
    yield f"build {build}"


def build_zip(original: Path, document: dict[str, Any], build: str, work: Path) -> None:
    """Make ``deployment.zip`` and its SBOM in the working folder, from Chalice's zip.

    Args:
        original: Chalice's zip.
        document: Chalice's Terraform document.
        build: the name of the build.
        work: the working folder, whose ``source`` Chalice packaged.

    Raises:
        Refusal: Lambda could not run the package.
    """
    function = part(document, "resource", *API_HANDLER)
    runtime, (architecture,) = part(function, "runtime"), part(function, "architectures")
    unpack(original, work / "whole")
    requirements = (work / "source/requirements.txt").read_text()
    refuse_wheels(work / "whole", requirements, architecture, runtime)
    unpack(original, work / "task", shipped(work / "whole"))
    stamp(work / "task", build)
    compile_all(work / "task", runtime)
    write_zip(work / "task", work / ZIP, executables_below(work / "source"))
    sum_of_zip = sums_of(work / ZIP).hexadecimal
    (work / SBOM).write_text(sbom(work / "whole", work / "task", requirements, build, sum_of_zip))


if __name__ == "__main__":
    main()
