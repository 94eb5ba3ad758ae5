"""``python -m tools.deploy.plan``: save a plan for ``make apply``, and report missing permissions."""

import sys
from pathlib import Path

import click

from tools.deploy.ready import refuse_unready
from tools.deploy.saved_plan import PLAN
from tools.permissions.comparison import permissions
from tools.permissions.plan import UnknownType
from tools.stack.findings import Status, report
from tools.stack.options import said_plainly, stack_folder
from tools.stack.terraform import Terraform, TerraformFailed


@click.command()
@stack_folder
@click.option("--canary", is_flag=True, help="Keep callers at their current version.")
@click.option("--replace", help="Address of a resource to recreate.")
@click.option("--role", help="Name of the role that will apply the plan. Default: the role of these credentials.")
@click.option("--details", is_flag=True, help="Print each action that the plan needs, allowed ones included.")
def main(folder: Path, canary: bool, replace: str | None, role: str | None, details: bool) -> None:
    """Plan, and check the deployer's permissions.

    Exit status 0: planned; 1: no plan; 3: planned, and a permission is missing.
    """
    terraform = Terraform(folder)
    with said_plainly("plan"):
        refuse_unready(folder)
        options = ["-var=move_alias=false"] if canary else []
        options += [f"-replace={replace}"] if replace else []
        if terraform.run_locked("plan", "-input=false", *options, f"-out={PLAN}") != 0:
            sys.exit(Status.FAILED)
    try:
        status = report(permissions(terraform, folder / PLAN, role, details=details), as_json=False)
    except (TerraformFailed, UnknownType) as why:
        status = Status.FAILED
        click.echo(f"permissions: {why}", err=True)
    sys.exit(Status.OK if status is Status.FAILED else status)  # a failed check does not invalidate the plan


if __name__ == "__main__":
    main()
