"""``python -m tools.verify.drift``: whether anything was changed by hand since the last apply; for a schedule.

Compared with Terraform's state, not with a package: whoever looks at night has not the zip of the last release, and
need not build it. Only ``chalice.tf.json`` has to be there, of any commit, because it is a part of the configuration.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tools.stack.checks import each, unseen
from tools.stack.deployed import DEPLOY, NoStack, deployed_stack
from tools.stack.findings import Finding, or_well, report
from tools.stack.options import stack_folder, stack_url
from tools.stack.repository import TERRAFORM
from tools.stack.terraform import Terraform, TerraformFailed
from tools.verify.live import Site
from tools.verify.stack import compare, ready
from tools.verify.wanted import Wanted


@click.command()
@stack_folder
@stack_url
@click.option("--json", "as_json", is_flag=True, help="One object for machines.")
def main(folder: Path, url: str | None, as_json: bool) -> None:
    """Compare what is deployed with Terraform's state."""
    sys.exit(report(drift(Terraform(folder), url), as_json=as_json))


def drift(terraform: Terraform, url: str | None = None, patience: float | None = None) -> Iterator[Finding]:
    """Every check of ``make verify``, and every resource that Terraform finds changed. Changes nothing, locks nothing.

    Args:
        terraform: in the stack's folder.
        url: where to send requests instead of to the stage's own URL.
        patience: seconds that answers may take to become those wanted.
    """
    try:
        stack = deployed_stack(terraform)
    except (NoStack, TerraformFailed) as error:
        yield unseen("stack", str(error))
        return
    yield from compare(stack, Wanted.applied(stack), Site.of(url or stack.api_url, patience))
    yield from ready(stack, url, patience)
    yield from each({"resources": lambda: resources(terraform)})


def resources(terraform: Terraform) -> Iterator[Finding]:
    """Each resource is as Terraform left it."""
    if not (terraform.folder / TERRAFORM).is_file():
        yield unseen("resources", f"there is no {terraform.folder.name}/{TERRAFORM}", fix="make package && make init")
        return
    yield from or_well(
        (
            Finding(
                change["address"],
                ok=False,
                found=", ".join(names) or "gone",
                wanted="as Terraform left it",
                why="somebody changed it by hand: the next apply takes that back, or stumbles over it",
                fix=DEPLOY,
            )
            for change in terraform.drifted()
            if (names := changed(change)) or change["change"]["after"] is None
        ),
        "resources",
        "all as Terraform left them",
    )


def changed(drift: dict[str, Any]) -> list[str]:
    """Names of the attributes that differ, without values: some are secret.

    The first look after a resource was made finds empty lists for nothing, and a role's policy, which is a resource of
    its own, in the role. The first look of provider 6 at a resource that provider 5 made finds its region. None of
    these is anybody's doing.
    """
    before, after = drift["change"]["before"] or {}, drift["change"]["after"] or {}
    names = [name for name in sorted(after) if _solid(before.get(name)) != _solid(after[name])]
    return [name for name in names if name not in _FOUND_LATER or before.get(name)]


_FOUND_LATER = {"inline_policy", "region"}


def _solid(value: Any) -> Any:
    """The value, with nothing for whatever is empty."""
    if isinstance(value, dict):
        return {name: solid for name in value if (solid := _solid(value[name]))} or None
    if isinstance(value, list):
        return [_solid(each) for each in value] or None
    return value or None


if __name__ == "__main__":
    main()
