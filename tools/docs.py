"""``python -m tools.docs``: writes the documents that are generated from the code; ``--check`` only compares them.

A whole file (``docs/settings.md``) is written anew; in a hand-written page only what stands between
``<!-- generated: name -->`` and ``<!-- end -->``.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from tools import docs_queue, docs_settings, docs_tables

ROOT = Path(__file__).parent.parent

FILES: Mapping[str, Callable[[], str]] = {
    ".env.example": docs_settings.env_example,
    "docs/errors.md": docs_tables.errors_page,
    "docs/settings.md": docs_settings.page,
}
BLOCKS: Mapping[tuple[str, str], Callable[[], str]] = {
    ("docs/architecture.md", "layers"): docs_tables.layers,
    ("docs/contract.md", "routes"): docs_tables.routes,
    ("docs/operations.md", "metrics"): docs_tables.metrics,
    ("docs/queue.md", "keys"): docs_queue.keys,
    ("docs/queue.md", "scripts"): docs_queue.scripts,
}
#: Pages of which the tables may be taken out.
OPTIONAL = frozenset({"docs/queue.md"})


class BadMarkers(click.ClickException):
    """A page lacks the two comments that its generated block stands between; the message says which."""


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 and name what is stale.")
def main(check: bool) -> None:
    """Write the generated documents again from the code."""
    changes = dict(stale(ROOT))
    for name, text in changes.items():
        if check:
            click.echo(f"stale: {name} is not what the code says; fix: make docs", err=True)
        else:
            (ROOT / name).write_text(text, encoding="utf-8")
            click.echo(f"wrote {name}")
    sys.exit(1 if check and changes else 0)


def stale(root: Path) -> Iterator[tuple[str, str]]:
    """Each file that differs from what the code says, and the text it should have."""
    for name, text in wanted(root).items():
        if _read(root / name) != text:
            yield name, text


def wanted(root: Path) -> dict[str, str]:
    """The text of every file that is generated, wholly or in part."""
    texts = {name: generate() for name, generate in FILES.items()}
    for (name, block), generate in BLOCKS.items():
        text = texts.get(name) or _read(root / name)
        if name not in OPTIONAL or f"<!-- generated: {block} -->" in text:
            texts[name] = with_block(text, block, generate(), name)
    return texts


def with_block(page: str, block: str, content: str, name: str) -> str:
    """The page with that block's content replaced.

    Raises:
        BadMarkers: the page has no such block, or has it twice.
    """
    pattern = rf"(<!-- generated: {block} -->\n).*?(<!-- end -->)"
    replaced, count = re.subn(pattern, lambda match: f"{match[1]}{content}\n{match[2]}", page, flags=re.DOTALL)
    if count != 1:
        raise BadMarkers(
            f"{name} has {count} blocks '{block}', wants one: put the lines '<!-- generated: {block} -->' and"
            " '<!-- end -->' where the table belongs, then run: make docs"
        )
    return replaced


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    main()
