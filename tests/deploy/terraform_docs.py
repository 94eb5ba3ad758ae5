"""Tables of a module's variables and outputs, from its own files."""

import re
from pathlib import Path

_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)


def tables(module: Path) -> str:
    """Inputs and outputs as Markdown."""
    inputs = [
        f"| `{name}` | {_type(body)} | {_default(body)} | {_said(body)} |"
        for name, body in blocks(module / "variables.tf")
    ]
    outputs = [f"| `{name}` | {_said(body)} |" for name, body in blocks(module / "outputs.tf")]
    heads = (
        ["| Input | Type | Default | Meaning |", "| --- | --- | --- | --- |"],
        ["| Output | Meaning |", "| --- | --- |"],
    )
    return "\n".join([*heads[0], *inputs, "", *heads[1], *outputs])


def blocks(path: Path) -> list[tuple[str, str]]:
    """Name and body of each variable or output in a file."""
    return [(found[2], found[3]) for found in _BLOCK.finditer(path.read_text())]


def _said(body: str) -> str:
    found = re.search(r'^  description = "((?:[^"\\]|\\.)*)"$', body, re.MULTILINE)
    assert found is not None, body
    return found[1].replace('\\"', '"').replace("|", "\\|")


def _type(body: str) -> str:
    found = re.search(r"^  type +=\s*(\w+(?:\(\w+\))?)", body, re.MULTILINE)
    assert found is not None, body
    return f"`{found[1]}`"


def _default(body: str) -> str:
    found = re.search(r"^  default +=\s*(.+)$", body, re.MULTILINE)
    return f"`{found[1]}`" if found else "required"
