"""``python -m tools.publish.image``: the worker's image, built with docker, podman or buildah."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from tools.package.build import version_of
from tools.publish.image_context import labels, write_context
from tools.stack.refusal import Refusal
from tools.stack.repository import ROOT

NAME = "localhost/lambda-router-worker"


@dataclass(frozen=True)
class Engine:
    """A program that builds images.

    Attributes:
        newest: options for the newest base image of that name.
        given: options for a base image that is on this machine.
    """

    name: str
    newest: tuple[str, ...]
    given: tuple[str, ...]

    def trouble(self) -> str:
        """Return why the program cannot be used here; empty if it can."""
        if shutil.which(self.name) is None:
            return "not installed"
        ran = subprocess.run([self.name, "info"], check=False, capture_output=True, text=True)
        return "" if ran.returncode == 0 else (ran.stderr.strip() or "fails").splitlines()[-1]


ENGINES = (
    Engine("docker", ("--pull",), ()),
    Engine("podman", ("--pull=always",), ("--pull=never",)),
    Engine("buildah", ("--pull-always",), ("--pull-never",)),
)


@click.command()
@click.option("--engine", type=click.Choice([each.name for each in ENGINES]), help="Use this program.")
@click.option("--base", help="Base image on this machine, instead of the newest one of the Containerfile's name.")
@click.option("--platform", help="Such as linux/arm64; otherwise this machine's.")
@click.option("--source", help="URL of the repository, for the image's labels.")
@click.option("--tag", "tags", multiple=True, help="Name of the image; may be repeated.")
def main(engine: str | None, base: str | None, platform: str | None, source: str | None, tags: tuple[str, ...]) -> None:
    """Build the worker's image."""
    try:
        chosen = choose(engine)
        names = tags or (f"{NAME}:{version_of(ROOT)}", f"{NAME}:latest")
        build(chosen, names, [*_base(chosen, base), *(["--platform", platform] if platform else [])], source)
    except Refusal as refusal:
        sys.exit(f"image: {refusal}")
    click.echo(f"{chosen.name} built {' and '.join(names)}")


def choose(name: str | None = None) -> Engine:
    """Return the named program, or the first that works here. Raises Refusal."""
    troubles = []
    for engine in ENGINES:
        if name in {None, engine.name}:
            trouble = engine.trouble()
            if not trouble:
                return engine
            troubles.append(f"{engine.name}: {trouble}")
    raise Refusal(f"nothing here builds images ({'; '.join(troubles)}): install docker, podman or buildah")


def build(engine: Engine, names: Sequence[str], options: Sequence[str], source: str | None, root: Path = ROOT) -> None:
    """Build the image under those names. Raises Refusal."""
    with tempfile.TemporaryDirectory() as name:
        write_context(Path(name), root)
        command = [engine.name, "build", "--file", str(Path(name) / "Containerfile"), *options]
        command += [word for each in names for word in ("--tag", each)]
        command += [word for label in labels(source, root) for word in ("--label", label)]
        if subprocess.run([*command, name], check=False).returncode != 0:
            raise Refusal(f"{engine.name} failed: see its output above")


def _base(engine: Engine, base: str | None) -> Iterator[str]:
    yield from (*engine.given, "--build-arg", f"BASE={base}") if base else engine.newest


if __name__ == "__main__":
    main()
