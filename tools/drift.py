"""``python -m tools.drift``: whether anything was changed by hand since the last apply; for a schedule.

Compared with Terraform's state, not with a package: whoever looks at night has not the zip of the last release, and
need not build it. Only ``chalice.tf.json`` has to be there, of any commit, because it is a part of the configuration.
"""

import sys
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import click

from tools.checks import each, unseen
from tools.deployed_stack import DEPLOY, NoStack, deployed_stack
from tools.findings import Finding, or_well, report
from tools.package import TERRAFORM
from tools.permissions_plan import resources_in
from tools.release_refusal import stack_folder, stack_url
from tools.terraform_cli import Terraform, TerraformFailed
from tools.verify import compare
from tools.verify_live import Site
from tools.verify_wanted import Wanted


@click.command()
@stack_folder
@stack_url
@click.option("--json", "as_json", is_flag=True, help="One object for machines.")
def main(folder: Path, url: str | None, as_json: bool) -> None:
    """Compare what is deployed with Terraform's state."""
    sys.exit(report(drift(Terraform(folder), url), as_json=as_json))


def drift(terraform: Terraform, url: str | None = None, patience: float | None = None) -> Iterator[Finding]:
    """Every check of ``tools.verify``, and every resource that Terraform finds changed. Changes nothing, locks nothing.

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
    yield from each({"resources": lambda: resources(terraform)})


def resources(terraform: Terraform) -> Iterator[Finding]:
    """Each resource is as Terraform left it."""
    if not (terraform.folder / TERRAFORM).is_file():
        yield unseen("resources", f"there is no {terraform.folder.name}/{TERRAFORM}", fix="make package && make init")
        return
    plan = terraform.refreshed()
    given = policies_of_roles(plan)
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
            for change in plan.get("resource_drift", [])
            if (names := changed(change, given)) or change["change"]["after"] is None
        ),
        "resources",
        "all as Terraform left them",
    )


def policies_of_roles(plan: dict[str, Any]) -> set[tuple[str, str]]:
    """Role and policy of each attachment that is a resource of the state's own."""
    known = plan.get("prior_state", {}).get("values", {}).get("root_module", {})
    attachments = (each for each in resources_in(known, "managed") if each["type"] == "aws_iam_role_policy_attachment")
    return {(each["values"]["role"], each["values"]["policy_arn"]) for each in attachments}


def changed(drift: dict[str, Any], given: Set[tuple[str, str]] = frozenset()) -> list[str]:
    """Names of the attributes that differ, without values: some are secret.

    The first look after a resource was made finds empty lists for nothing, and in a role its policies, which are
    resources of their own. The first look of provider 6 at a resource that provider 5 made finds its region. None of
    these is anybody's doing.

    Args:
        given: role and policy of each attachment that is such a resource.
    """
    before, after = (_without(drift["change"][side] or {}, given) for side in ("before", "after"))
    names = [name for name in sorted(after) if _solid(before.get(name)) != _solid(after[name])]
    return [name for name in names if name not in _FOUND_LATER or before.get(name)]


_FOUND_LATER = {"inline_policy", "region"}


def _without(resource: dict[str, Any], given: Set[tuple[str, str]]) -> dict[str, Any]:
    attached = resource.get("managed_policy_arns")
    if attached is None:
        return resource
    return resource | {"managed_policy_arns": [each for each in attached if (resource.get("name"), each) not in given]}


def _solid(value: Any) -> Any:
    """The value, with nothing for whatever is empty."""
    if isinstance(value, dict):
        return {name: solid for name in value if (solid := _solid(value[name]))} or None
    if isinstance(value, list):
        return [_solid(each) for each in value] or None
    return value or None


if __name__ == "__main__":
    main()
