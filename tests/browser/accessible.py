"""axe-core, which finds what bars people from a page (https://github.com/dequelabs/axe-core), and what goes with it.

It is locked, and comes from npm once.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests import npm

if TYPE_CHECKING:
    from playwright.sync_api import Page

_FOLDER = Path(__file__).with_name("axe")


@cache
def _script() -> str:
    npm.install(_FOLDER)
    return (_FOLDER / "node_modules/axe-core/axe.min.js").read_text()


def findings(page: "Page", impacts: tuple[str, ...] = ("serious", "critical")) -> list[str]:
    """What axe finds of that weight on the page as it now is."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(_script())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {node['html'][:120]}: {node['failureSummary'][:200]}"
        for violation in found["violations"]
        if violation["impact"] in impacts
        for node in violation["nodes"]
    ]


def sideways(page: "Page") -> list[str]:
    """How far a page can be scrolled sideways, if at all, and elements whose content is wider than they are."""
    return list(
        page.evaluate(
            """() => document.documentElement.scrollWidth <= innerWidth ? [] :
              [`${document.documentElement.scrollWidth} in ${innerWidth}`, ...[...document.querySelectorAll('body *')]
                .filter((it) => it.getBoundingClientRect().right > innerWidth || it.scrollWidth > it.clientWidth + 1)
                .map((it) => it.outerHTML.slice(0, 120))]"""
        )
    )
