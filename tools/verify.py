"""``python -m tools.verify``: whether what runs is what was built."""

from collections.abc import Iterator

from tools.deployed_stack import DeployedStack
from tools.findings import Finding


def verify(stack: DeployedStack, url: str | None = None) -> Iterator[Finding]:
    """Every check, each a finding as soon as it is made.

    Args:
        stack: what Terraform applied.
        url: where to send requests instead of the stage's own URL, for a private API.
    """
    yield from ()
