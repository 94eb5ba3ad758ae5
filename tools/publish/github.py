"""``python -m tools.publish.github``: the release on GitHub, by its own command line program ``gh``."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from tools.publish.files import CHECKSUMS, FOLDER
from tools.publish.notes import checked_version, notes, repository_option, tag_option
from tools.stack.refusal import Refusal


@click.command()
@tag_option
@repository_option
@click.option("--server", envvar="GITHUB_SERVER_URL", default="https://github.com", help="GitHub's address.")
@click.option("--folder", default=FOLDER, type=click.Path(path_type=Path), help="The release's files.")
def main(tag: str | None, repository: str, server: str, folder: Path) -> None:
    """Create the release of this version's tag, with its notes and files."""
    try:
        version = checked_version(tag)
        create(version, notes(version, repository, server), folder, repository)
    except Refusal as refusal:
        sys.exit(f"github: {refusal}")


def create(version: str, text: str, folder: Path, repository: str) -> None:
    """Run ``gh release create``. It uploads every file to a draft and then publishes that.

    Raises:
        Refusal: a file is missing, or gh failed; it has said why.
    """
    if not (folder / CHECKSUMS).is_file():
        raise Refusal(f"{folder} has no {CHECKSUMS}: make publish-files")
    if shutil.which("gh") is None:
        raise Refusal("no gh on PATH: install GitHub's command line program")
    if os.environ.get("CI") and not os.environ.get("GH_TOKEN"):
        raise Refusal(
            "GH_TOKEN is not set, and in a workflow gh has no login of its own: give the step the job's token"
        )
    with tempfile.NamedTemporaryFile("w", suffix=".md") as file:
        file.write(text)
        file.flush()
        command = ["gh", "release", "create", f"v{version}", "--verify-tag", "--repo", repository]
        command += ["--title", f"v{version}", "--notes-file", file.name, *map(str, sorted(folder.iterdir()))]
        if subprocess.run(command, check=False).returncode != 0:
            raise Refusal(f"gh created no release v{version}; it says why above. One that exists is never changed")


if __name__ == "__main__":
    main()
