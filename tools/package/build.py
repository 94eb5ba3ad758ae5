"""The name of a build: the version, and the last commit that changed the package.

A commit of documents or tests alone makes no new build, and so no new release. No two different packages of one stage
and processor share a build, unless they were built with uncommitted changes. With the pages it has a name of its own.
"""

import re
import subprocess
from pathlib import Path

from tools.package.source import SHIPPED
from tools.stack.refusal import Refusal
from tools.stack.repository import ROOT

#: The files that the packaging depends on. Chalice, which is packed too, is pinned in requirements/dev.txt.
MADE_WITH = ("tools/package", "tools/merge", "requirements/dev.txt")

_VERSIONED = "chalicelib/__init__.py"
_VERSION = re.compile(r'^__version__ = "(\d+\.\d+\.\d+)"$', re.MULTILINE)
_HEX_DIGITS = 12


def build_of(root: Path = ROOT, *, has_pages: bool = False) -> str:
    """Return the build's name, such as ``0.1.0+g1f98489c0a1b``.

    To it come ``.pages`` for a package with the pages, and ``.dirty`` for uncommitted changes.

    The notation is that of semver.org, item 10.

    Raises:
        Refusal: git does not know the commit.
    """
    if _git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise Refusal(
            "this clone is shallow, so it may lack the last commit that changed the package: git fetch --unshallow;"
            " in GitHub Actions, fetch-depth: 0 of actions/checkout"
        )
    commit = _git(root, "rev-list", "-1", "HEAD", "--", *SHIPPED, *MADE_WITH)
    if not commit:
        raise Refusal("no commit contains the packaged files, so the build would have no name: git commit them first")
    changed = _git(root, "status", "--porcelain", "--", *SHIPPED, *MADE_WITH)
    return f"{version_of(root)}+g{commit[:_HEX_DIGITS]}{'.pages' if has_pages else ''}{'.dirty' if changed else ''}"


def stamp(folder: Path, build: str) -> None:
    """Write the build into the unpacked package; ``/health`` and ``/openapi.json`` show ``__version__``.

    Raises:
        Refusal: the package has no version to replace.
    """
    path = folder / _VERSIONED
    version = version_of(folder)
    path.write_text(path.read_text().replace(f'__version__ = "{version}"', f'__version__ = "{build}"'))


def version_of(root: Path = ROOT) -> str:
    """Return the project's version, such as ``0.1.0``. Raises Refusal unless there is exactly one."""
    found = _VERSION.findall((root / _VERSIONED).read_text())
    if len(found) != 1:
        raise Refusal(f'{_VERSIONED} has {len(found)} lines like __version__ = "1.2.3", wanted one: correct it')
    return str(found[0])


def _git(root: Path, *arguments: str) -> str:
    """Return git's output; empty if it fails, for example without any commit."""
    return subprocess.run(["git", *arguments], cwd=root, check=False, capture_output=True, text=True).stdout.strip()
