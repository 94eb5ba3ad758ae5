"""``python -m tools.publish.index``: the wheels and source distributions in the package index.

uv exchanges the workflow's own identity for a token that lasts minutes ("trusted publishing"), so no secret is kept.
"""

import subprocess
import sys
from pathlib import Path

import click

from tools.publish.files import FOLDER
from tools.publish.notes import checked_version, tag_option
from tools.publish.wheels import PROJECTS
from tools.stack.refusal import Refusal


@click.command()
@tag_option
@click.option("--folder", default=FOLDER, type=click.Path(path_type=Path), help="The release's files.")
def main(tag: str | None, folder: Path) -> None:
    """Upload the wheels and source distributions of a release."""
    try:
        upload(checked_version(tag), folder)
    except Refusal as refusal:
        sys.exit(f"index: {refusal}")


def upload(version: str, folder: Path) -> None:
    """Run ``uv publish``. Raises Refusal if a file is missing or uv failed; it has said why."""
    stems = [f"{project.distribution}-{version}" for project in PROJECTS]
    files = [folder / f"{stem}{ending}" for stem in stems for ending in ("-py3-none-any.whl", ".tar.gz")]
    for path in files:
        if not path.is_file():
            raise Refusal(f"{path} is not there: make publish-files")
    command = [sys.executable, "-m", "uv", "publish", "--no-config", "--trusted-publishing", "always"]
    if subprocess.run([*command, *map(str, files)], check=False).returncode != 0:
        raise Refusal(f"uv uploaded nothing of {version}; it says why above")


if __name__ == "__main__":
    main()
