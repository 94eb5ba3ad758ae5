"""``python -m tools.publish.image_context``: the folder that the worker's image is built from, its names and labels.

The folder has three files: the wheel, the locked requirements and the Containerfile. So nothing else of the checkout
can reach the image.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from tools.package.build import version_of
from tools.publish import wheels
from tools.publish.files import refuse_changes
from tools.publish.notes import checked_version, repository_option, tag_option
from tools.stack.refusal import Refusal
from tools.stack.repository import ROOT

CONTAINERFILE = "packages/worker/Containerfile"
REQUIREMENTS = "requirements/worker.txt"
_LABEL = "org.opencontainers.image"
_REGISTRY = "ghcr.io"


@click.command()
@tag_option
@repository_option
@click.option("--server", envvar="GITHUB_SERVER_URL", default="https://github.com", help="GitHub's address.")
@click.option("--out", default=ROOT / "build/image", type=click.Path(path_type=Path), help="Folder; it is emptied.")
def main(tag: str | None, repository: str, server: str, out: Path) -> None:
    """Write the folder, and tell a GitHub workflow the image's names and labels."""
    try:
        version = checked_version(tag)
        refuse_changes()
        shutil.rmtree(out, ignore_errors=True)
        write_context(out)
    except Refusal as refusal:
        sys.exit(f"image: {refusal}")
    name = f"{_REGISTRY}/{repository.partition('/')[0].lower()}/{wheels.WORKER.name}"
    described = "\n".join(labels(f"{server}/{repository}"))
    text = f"name={name}\ntags={name}:{version},{name}:latest\nlabels<<END\n{described}\nEND\n"
    click.echo(text, nl=False)
    if told := os.environ.get("GITHUB_OUTPUT"):
        with Path(told).open("a") as file:
            file.write(text)


def write_context(folder: Path, root: Path = ROOT) -> None:
    """Write the three files into a folder. Raises Refusal if the wheel cannot be built."""
    wheel, source = wheels.build(folder, root)
    source.unlink()
    shutil.copyfile(root / REQUIREMENTS, wheel.with_name("worker.txt"))
    shutil.copyfile(root / CONTAINERFILE, wheel.with_name("Containerfile"))


def labels(source: str | None, root: Path = ROOT) -> Iterator[str]:
    """Yield the labels that differ between versions, as ``name=value`` (OCI image spec, "Annotations")."""
    yield f"{_LABEL}.version={version_of(root)}"
    yield f"{_LABEL}.revision={_git('rev-parse', 'HEAD', root=root)}"
    yield f"{_LABEL}.created={_git('show', '--no-patch', '--format=%cI', root=root)}"
    if source:
        yield f"{_LABEL}.source={source}"


def _git(*words: str, root: Path) -> str:
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
