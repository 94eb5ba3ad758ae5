"""The settings in GitHub's workflows: Terraform's variables, from the variables of the repository or environment.

Any ``env:`` of a workflow may hold the block, at its own indentation::

    env:
      # generated: settings
      # end
"""

import re
import textwrap

from chalicelib.partitions import BY_PREFIX
from tools.docs import terraform

BLOCK = re.compile(r"^(?P<indent> *)# generated: settings\n(?P<body>.*?)^(?P=indent)# end$", re.MULTILINE | re.DOTALL)


def with_settings(text: str) -> str:
    """Return the workflow with each of its blocks regenerated."""
    return BLOCK.sub(_block, text)


def audience() -> str:
    """Return the audience of GitHub's token for AWS: STS in the region's partition, as modules/iam expects it."""
    *others, (_, usual) = [(prefix, f"sts.{partition.dns_suffix}") for prefix, partition in BY_PREFIX.items()]
    cases = [f"startsWith(vars.AWS_REGION, '{prefix}') && '{name}'" for prefix, name in others if name != usual]
    return f"${{{{ {' || '.join([*cases, repr(usual)])} }}}}"


def _block(found: re.Match[str]) -> str:
    lines = ["# generated: settings"]
    for name, field in terraform.variables().items():
        # A variable missing in GitHub is empty, and Terraform would take that as a value.
        default = terraform.default_text(field).replace("'", "''")
        fallback = f" || '{default}'" if default else ""
        lines.append(f"TF_VAR_{name}: ${{{{ vars.{name.upper()}{fallback} }}}}")
    return textwrap.indent("\n".join([*lines, "# end"]), found["indent"])
