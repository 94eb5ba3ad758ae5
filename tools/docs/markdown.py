"""Markdown for the generated documents."""

import re
from collections.abc import Iterable, Sequence

NOTICE = "<!-- Written by `make docs`; edits here are lost. -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; pipes in cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`"


def first_sentence(docstring: str | None) -> str:
    """Return a docstring's first sentence on one line, with Markdown's single backticks."""
    text = " ".join((docstring or "").split()).replace("``", "`")
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`])", text, maxsplit=1)[0]
