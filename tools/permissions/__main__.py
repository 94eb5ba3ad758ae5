"""``python -m tools.permissions PLAN``: compare a saved plan's IAM requests with its deployer's permissions.

It changes nothing. ``make plan`` runs it after the plan, so that a missing permission is reported before anything is
created.
"""

import sys
from pathlib import Path

import click

from tools.permissions.comparison import permissions
from tools.permissions.plan import UnknownType
from tools.stack.findings import report
from tools.stack.terraform import Terraform, TerraformFailed


@click.command()
@click.argument("plan", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--role", help="Name of the role that will apply the plan. Default: the role of these credentials.")
@click.option("--details", is_flag=True, help="Print a line for each action, allowed ones included.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with the details.")
def main(plan: Path, role: str | None, details: bool, as_json: bool) -> None:
    """Compare the permissions that a saved plan needs with those of its deployer.

    Exit status 0: no permission is missing; 1: the check could not run; 3: a permission is missing.
    """
    terraform = Terraform(plan.resolve().parent)
    try:
        findings = permissions(terraform, plan.resolve(), role, details=details or as_json)
    except (TerraformFailed, UnknownType) as why:
        raise click.ClickException(str(why)) from why
    sys.exit(report(findings, as_json=as_json))


if __name__ == "__main__":
    main()
