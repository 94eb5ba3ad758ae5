"""``python -m tools.publish.index``: the worker's wheel and source distribution in the package index.

Not those of the callers' kit: on Python's public index, its name is another project's. uv exchanges the workflow's own
identity for a token that lasts minutes ("trusted publishing"), so no secret is kept.
"""

import subprocess
import sys
from pathlib import Path

import click

from tools.publish.files import FOLDER
from tools.publish.notes import checked_version, tag_option
from tools.publish.wheels import WORKER
from tools.stack.refusal import Refusal


@click.command()
@tag_option
@click.option("--folder", default=FOLDER, type=click.Path(path_type=Path), help="The release's files.")
def main(tag: str | None, folder: Path) -> None:
    """Upload the worker's wheel and source distribution of a release."""
    try:
        upload(checked_version(tag), folder)
    except Refusal as refusal:
        sys.exit(f"index: {refusal}")


def upload(version: str, folder: Path) -> None:
    """Run ``uv publish``. Raises Refusal if a file is missing or uv failed; it has said why."""
    command = [sys.executable, "-m", "uv", "publish", "--no-config", "--trusted-publishing", "always"]
    if subprocess.run([*command, *map(str, uploaded(version, folder))], check=False).returncode != 0:
        raise Refusal(f"uv uploaded nothing of {version}; it says why above")


def uploaded(version: str, folder: Path) -> list[Path]:
    """Return the files for the index. Raises Refusal if one is missing."""
    files = [folder / f"{WORKER.distribution}-{version}{ending}" for ending in ("-py3-none-any.whl", ".tar.gz")]
    for path in files:
        if not path.is_file():
            raise Refusal(f"{path} is not there: make publish-files")
    return files


if __name__ == "__main__":
    main()
