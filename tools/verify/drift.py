"""``python -m tools.verify.drift``: find changes made by hand since the last apply; meant for a schedule.

The comparison is with Terraform's state, not with a package. So a nightly run needs no zip of the last release, and
need not build one. Only ``chalice.tf.json`` has to be there, from any commit, because it is a part of the
configuration.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tools.stack.backend import STACK
from tools.stack.checks import each, unseen
from tools.stack.deployed import DEPLOY, NoStack, deployed_stack
from tools.stack.findings import Finding, or_well, report
from tools.stack.options import stack_folder, stack_url
from tools.stack.repository import TERRAFORM, is_stack, package_folder
from tools.stack.terraform import Terraform, TerraformFailed
from tools.verify.fixes import for_folder
from tools.verify.live import Site
from tools.verify.stack import compare, ready
from tools.verify.wanted import Wanted


@click.command()
@stack_folder
@stack_url
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(folder: Path, url: str | None, as_json: bool) -> None:
    """Compare what is deployed with Terraform's state."""
    sys.exit(report(drift(Terraform(folder), url), as_json=as_json))


def drift(terraform: Terraform, url: str | None = None, patience: float | None = None) -> Iterator[Finding]:
    """Run every check of ``make verify``, and report every resource that Terraform finds changed.

    Nothing is changed or locked.

    Args:
        terraform: in the stack's folder.
        url: where to send requests instead of to the stage's own URL.
        patience: seconds that responses may take to become the wanted ones.
    """
    try:
        stack = deployed_stack(terraform)
    except (NoStack, TerraformFailed) as error:
        yield unseen("stack", str(error))
        return
    compared = compare(stack, Wanted.applied(stack), Site.of(url or stack.api_url, patience))
    yield from for_folder(compared, terraform.folder)
    yield from ready(stack, url, patience)
    yield from for_folder(each({"resources": lambda: resources(terraform)}), terraform.folder)


def resources(terraform: Terraform) -> Iterator[Finding]:
    """Check that each resource is as Terraform applied it."""
    package = package_folder(terraform.folder)
    if not (package / TERRAFORM).is_file():
        fix = "make package && make init" if is_stack(terraform.folder) else "make package"
        yield unseen("resources", f"there is no {package.name}/{TERRAFORM}", fix=fix)
        return
    yield from or_well(
        (
            Finding(
                change["address"],
                ok=False,
                found=", ".join(names) or "deleted",
                wanted="as Terraform applied it",
                why="it was changed by hand: the next apply reverts the change, or fails because of it",
                fix=DEPLOY,
            )
            for change in of_the_stack(terraform)
            if (names := changed(change)) or change["change"]["after"] is None
        ),
        "resources",
        "all as Terraform applied them",
    )


def of_the_stack(terraform: Terraform) -> Iterator[dict[str, Any]]:
    """Yield the changes of the stack's resources. What contains the stack may have others, which change each other."""
    for change in terraform.drifted():
        if is_stack(terraform.folder) or change["address"].startswith(f"module.{STACK}."):
            yield change


def changed(drift: dict[str, Any]) -> list[str]:
    """Return the names of the attributes that differ, without values: some are secret.

    Some differences are not changes by hand. The first look after a resource's creation reports empty lists, and
    reports a role's policy, which is a resource of its own, in the role. The first look of provider 6 at a resource
    that provider 5 created reports its region. ``make release`` and ``make rollback`` move the alias; other checks
    compare it and the parameters that tell its version with the newest version.
    """
    before, after = drift["change"]["before"] or {}, drift["change"]["after"] or {}
    names = [name for name in sorted(after) if _solid(before.get(name)) != _solid(after[name])]
    return [name for name in names if (name not in _FOUND_LATER or before.get(name)) and name not in _moving(drift)]


_FOUND_LATER = {"inline_policy", "region"}


def _moving(drift: dict[str, Any]) -> frozenset[str]:
    """Return the attributes of the resource that follow the version which callers use."""
    kind, index = drift.get("type"), drift.get("index")
    if kind == "aws_lambda_alias":
        return frozenset({"function_version"})
    if kind == "aws_ssm_parameter" and index in {"function_version", "stream_function_version"}:
        return frozenset({"insecure_value", "value", "version"})
    return frozenset()


def _solid(value: Any) -> Any:
    """Return the value, with None in place of everything empty."""
    if isinstance(value, dict):
        return {name: solid for name in value if (solid := _solid(value[name]))} or None
    if isinstance(value, list):
        return [_solid(each) for each in value] or None
    return value or None


if __name__ == "__main__":
    main()
