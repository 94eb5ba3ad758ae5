"""Variables and outputs as a Terraform file declares them."""

import re

_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[tuple[str, str, str]]:
    """Return kind (``variable`` or ``output``), name and body of each block in a formatted file."""
    return [(found[1], found[2], found[3]) for found in _BLOCK.finditer(text)]
