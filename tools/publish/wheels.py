"""``python -m tools.publish.wheels``: the worker and the callers' kit as wheels and source distributions.

The same commit gives the same bytes.

Both are built from the tracked files alone. The source distribution comes first and the wheel is built from it, so it
surely builds the same wheel. Hatchling gives every file the same time, owner and mode, whatever the umask, and reads no
clock (https://hatch.pypa.io/latest/config/build/#reproducible-builds). So the bytes depend on the content, on hatchling
and on the zlib of the Python that runs it.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from tools.package.build import version_of
from tools.package.source import tracked
from tools.package.writer import sums_of
from tools.stack.refusal import Refusal
from tools.stack.repository import ROOT


@dataclass(frozen=True)
class Project:
    """What one wheel is built from.

    Attributes:
        name: the name in package indexes.
        sources: folders and files of the repository, and their places in the source distribution.
        requirements: the lock of what the wheel needs.
    """

    name: str
    sources: Mapping[str, str]
    requirements: str

    @property
    def distribution(self) -> str:
        """The name in file names."""
        return self.name.replace("-", "_")

    @property
    def metadata(self) -> str:
        """The repository's file that becomes ``pyproject.toml``."""
        return next(source for source, place in self.sources.items() if place == "pyproject.toml")


WORKER = Project(
    "lambda-router-worker",
    {
        "lambda_router_worker": "lambda_router_worker",
        "vendor/lambda_router_queue": "lambda_router_queue",
        "packages/worker/pyproject.toml": "pyproject.toml",
        "packages/worker/README.md": "README.md",
        "packages/worker/compose.yaml": "compose.yaml",
        "packages/worker/systemd": "systemd",
        "LICENSE": "LICENSE",
    },
    "requirements/worker.txt",
)
KIT = Project(
    "lambda-router",
    {
        "client/lambda_router": "lambda_router",
        "client/pyproject.toml": "pyproject.toml",
        "client/README.md": "README.md",
        "LICENSE": "LICENSE",
    },
    "requirements/client.txt",
)
PROJECTS = (WORKER, KIT)
_DYNAMIC = 'dynamic = ["version"]\n'


@click.command()
@click.option("--out", default=ROOT / "dist", type=click.Path(path_type=Path), help="Folder to write into.")
def main(out: Path) -> None:
    """Build the wheels and source distributions."""
    try:
        for project in PROJECTS:
            built = list(build(out, project=project))
            remove_others(out, project, built)
            for path in built:
                click.echo(f"{path.name}  {path.stat().st_size:,} bytes  sha256 {sums_of(path).hexadecimal}")
    except Refusal as refusal:
        sys.exit(f"wheels: {refusal}")


def build(out: Path, root: Path = ROOT, project: Project = WORKER) -> Iterator[Path]:
    """Write a project's wheel and source distribution into a folder, and yield their paths.

    Raises:
        Refusal: a file is not tracked, or hatchling rejects the metadata. The folder stays as it was.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        copy_sources(work / "project", root, project)
        source = _hatchling(project, work / "project", "sdist", work / "out")
        with tarfile.open(source) as archive:
            archive.extractall(work / "unpacked", filter="data")
        (unpacked,) = (work / "unpacked").iterdir()
        wheel = _hatchling(project, unpacked, "wheel", work / "wheels")
        out.mkdir(parents=True, exist_ok=True)
        for path in (wheel, source):
            yield Path(shutil.copyfile(path, out / path.name))


def remove_others(out: Path, project: Project, built: Collection[Path]) -> None:
    """Remove a project's files of other versions, so that ``dist/NAME-*.whl``, as the pages type it, is one file."""
    for path in out.glob(f"{project.distribution}-[0-9]*"):
        if path.name.endswith((".whl", ".tar.gz")) and path not in built:
            path.unlink()


def copy_sources(target: Path, root: Path, project: Project) -> None:
    """Copy what the distributions are built from, as a project that anyone can build. Raises Refusal."""
    sources = project.sources
    for name in tracked(root, list(sources)):
        (place,) = [target / sources[each] / Path(name).relative_to(each) for each in sources if _is_below(name, each)]
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, place)
    metadata = target / "pyproject.toml"
    text = metadata.read_text()
    if text.count(_DYNAMIC) != 1:
        raise Refusal(f"{project.metadata} has no line {_DYNAMIC.strip()!r}: restore it")
    metadata.write_text(text.replace(_DYNAMIC, f'version = "{version_of(root)}"\n'))


def _is_below(name: str, folder: str) -> bool:
    return Path(name).is_relative_to(folder)


def _hatchling(project: Project, folder: Path, target: str, out: Path) -> Path:
    # Without SOURCE_DATE_EPOCH hatchling takes a fixed time. With it, a build of the unpacked source distribution
    # elsewhere would give another wheel.
    environ = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(out)]
    ran = subprocess.run(command, cwd=folder, env=environ, check=False, capture_output=True, text=True)
    if ran.returncode != 0:
        reason = (ran.stderr or ran.stdout).strip().rpartition("\n")[2]
        raise Refusal(f"hatchling cannot build the {target}: {reason}: correct {project.metadata}")
    (built,) = out.iterdir()
    return built


if __name__ == "__main__":
    main()
