"""``python -m tools.publish.notes``: the notes of a release, from its section of ``CHANGELOG.md``."""

import re
import sys
from pathlib import Path

import click

from tools.package.build import version_of
from tools.stack.refusal import Refusal
from tools.stack.repository import ROOT

_CHANGELOG = "CHANGELOG.md"
_HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d\n", re.MULTILINE)
_NEXT = re.compile(r"^## ", re.MULTILINE)
#: A link within the repository, which leads nowhere from a release's page.
_RELATIVE = re.compile(r"\]\((?!https?://|#)([^)]+)\)")
_VERIFY = """### Files

`SHA256SUMS` has the checksum of every file, and each file has a provenance that GitHub attests:

```sh
sha256sum --check --ignore-missing SHA256SUMS
gh attestation verify FILE --repo {repository}
```
"""

#: Options of every program of a release. The workflow sets the variables, so no shell and no make reads their text.
tag_option = click.option("--tag", envvar="RELEASE", help="Refuse unless this is the version's tag.")
repository_option = click.option(
    "--repository", envvar="GITHUB_REPOSITORY", default="OWNER/REPOSITORY", help="On GitHub, such as octo/router."
)


@click.command()
@tag_option
@repository_option
@click.option("--server", envvar="GITHUB_SERVER_URL", default="https://github.com", help="GitHub's address.")
def main(tag: str | None, repository: str, server: str) -> None:
    """Print the notes of this version's release."""
    try:
        click.echo(notes(checked_version(tag), repository, server), nl=False)
    except Refusal as refusal:
        sys.exit(f"notes: {refusal}")


def checked_version(tag: str | None, root: Path = ROOT) -> str:
    """Return the project's version. Raises Refusal if the tag is another's."""
    version = version_of(root)
    if tag is not None and tag != f"v{version}":
        raise Refusal(
            f"the tag is {tag!r}, but chalicelib/__init__.py has the version {version}: tag v{version}, or change the"
            " version in a commit and tag that"
        )
    return version


def notes(version: str, repository: str, server: str, root: Path = ROOT) -> str:
    """Return the version's section of the changelog, and how to verify the files.

    Raises:
        Refusal: the changelog has no such section, or nothing in it.
    """
    text = (root / _CHANGELOG).read_text()
    bodies = {found[1]: _NEXT.split(text[found.end() :], maxsplit=1)[0].strip() for found in _HEADING.finditer(text)}
    if not bodies.get(version):
        found = "an empty" if version in bodies else "no"
        raise Refusal(
            f"{_CHANGELOG} has {found} section ## [{version}] - YYYY-MM-DD: move the entries of ## [Unreleased] into it"
        )
    body = _RELATIVE.sub(rf"]({server}/{repository}/blob/v{version}/\1)", bodies[version])
    return f"{body}\n\n{_VERIFY.format(repository=repository)}"


if __name__ == "__main__":
    main()
