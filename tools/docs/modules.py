"""Tables of a Terraform module's variables and outputs, for its README."""

import re
from collections.abc import Iterable

from tools.stack.declarations import blocks

_TABLES = re.compile(r"(<!-- tables -->\n).*?(<!-- end -->)", re.DOTALL)


class Undescribed(Exception):
    """A variable or an output has no description or type; the message names it."""


def with_tables(readme: str, texts: Iterable[str]) -> str:
    """Return the README with its tables regenerated from the module's files."""
    written = tables(texts)
    return _TABLES.sub(lambda found: f"{found[1]}{written}\n{found[2]}", readme)


def tables(texts: Iterable[str]) -> str:
    """Return inputs and outputs as Markdown tables, in alphabetical order.

    Raises:
        Undescribed: a variable or output has no description, or a variable has no type.
    """
    found = sorted((kind, name, body) for text in texts for kind, name, body in blocks(text))
    inputs = [
        f"| `{name}` | {_type(name, body)} | {_default(body)} | {_description(name, body)} |"
        for kind, name, body in found
        if kind == "variable"
    ]
    outputs = [f"| `{name}` | {_description(name, body)} |" for kind, name, body in found if kind == "output"]
    heads = (
        ["| Input | Type | Default | Meaning |", "| --- | --- | --- | --- |"],
        ["| Output | Meaning |", "| --- | --- |"],
    )
    return "\n".join([*heads[0], *inputs, "", *heads[1], *outputs])


def _description(name: str, body: str) -> str:
    found = re.search(r'^  description = "((?:[^"\\]|\\.)*)"$', body, re.MULTILINE)
    if found is None:
        raise Undescribed(f'{name} has no line `  description = "…"`: add one')
    return found[1].replace('\\"', '"').replace("|", "\\|")


def _type(name: str, body: str) -> str:
    found = re.search(r"^  type +=\s*(\w+(?:\(\w+\))?)", body, re.MULTILINE)
    if found is None:
        raise Undescribed(f"{name} has no line `  type = …`: add one")
    return f"`{found[1]}`"


def _default(body: str) -> str:
    found = re.search(r"^  default +=\s*(.+)$", body, re.MULTILINE)
    return f"`{found[1]}`" if found else "required"
