"""Variables and outputs as a Terraform file declares them."""

import re

_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[tuple[str, str, str]]:
    """Kind (``variable`` or ``output``), name and body of each, as they stand in a file that is formatted."""
    return [(found[1], found[2], found[3]) for found in _BLOCK.finditer(text)]
