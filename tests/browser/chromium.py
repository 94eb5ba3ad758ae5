"""The browser of these tests: a Chromium on PATH, or else Debian's, unpacked below ``.local``.

``python -m tests.browser.chromium`` fetches Debian's where it is needed. Playwright drives either.
"""

import os
import shutil
import site
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests import debian

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

#: Ubuntu's chromium-browser is left out: it starts a snap, which cannot read a profile in /tmp.
ON_PATH = ("chromium", "chromium-headless-shell", "google-chrome")
OF_DEBIAN = "chromium-headless-shell"

#: Not in .venv, since it brings 140 MB for these tests alone.
_PLAYWRIGHT = list((Path(__file__).parents[2] / ".venv-browser").glob("lib/python*/site-packages"))

_OPTIONS = (
    # A browser that asks for anything but this machine finds no such host: the tests do not depend on a network.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--no-proxy-server",
    "--font-render-hinting=none",  # pictures are the same on every machine
)


def executable() -> Path:
    """The program. In CI it is always Debian's, so that what is found there can be repeated. Raises Unavailable."""
    names = () if os.environ.get("CI") else ON_PATH  # noqa: TID251
    for found in filter(None, map(shutil.which, names)):
        return Path(found)
    return debian.program(OF_DEBIAN)


@contextmanager
def driver() -> Iterator["Playwright"]:
    """Playwright, of which a process may have one. Raises Unavailable."""
    for folder in _PLAYWRIGHT:
        site.addsitedir(str(folder))
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError as error:
        raise debian.Unavailable("Playwright is not installed here; run: make browser-tools") from error
    with sync_playwright() as playwright:
        yield playwright


@contextmanager
def browser(playwright: "Playwright", *options: str, program: Path | None = None) -> Iterator["Browser"]:
    """A running browser, started with further options of Chromium's. Raises Unavailable."""
    launched = _launched(playwright, program or executable(), options)
    yield launched
    launched.close()


def _launched(playwright: "Playwright", program: Path, options: Sequence[str]) -> "Browser":
    """Launch it in its sandbox, if that works here. It does not for root, nor where no user may make namespaces."""
    from playwright.sync_api import Error

    for is_sandboxed in [True, False] if os.geteuid() else [False]:
        try:
            return playwright.chromium.launch(
                executable_path=program, chromium_sandbox=is_sandboxed, args=[*_OPTIONS, *options], timeout=30_000
            )
        except Error as error:
            problem = error
    raise debian.Unavailable(f"{program} does not start: {problem.message[:500]}")


def main() -> None:
    """Fetch Debian's, unless there is a browser."""
    try:
        executable()
    except debian.Unavailable:
        debian.main(["chromium"])


if __name__ == "__main__":
    sys.exit(main())
