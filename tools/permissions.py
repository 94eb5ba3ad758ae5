"""``python -m tools.permissions PLAN``: what a saved plan will ask of IAM, against what its deployer may do.

It changes nothing. ``make plan`` looks after the plan, so that a missing right is named before anything is made.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from tools.aws import client
from tools.findings import Finding, report
from tools.iam_identity import CannotLook, Deployer, deployer
from tools.iam_policy import Decision, Request
from tools.permissions_plan import Asking, UnknownType, requests
from tools.terraform_cli import Terraform, TerraformFailed, program

_HINT = " that the plan needs; make plan DETAILS=1 lists them"


@click.command()
@click.argument("plan", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--role", help="Name of the role that will apply it; without: the one these credentials are of.")
@click.option("--details", is_flag=True, help="A line for each action, also for those that are allowed.")
@click.option("--json", "as_json", is_flag=True, help="One object for machines, with the details.")
def main(plan: Path, role: str | None, details: bool, as_json: bool) -> None:
    """Compare what a saved plan needs with what its deployer has.

    Exit status 0: all is there; 1: could not be looked at; 3: something is missing.
    """
    terraform = Terraform(plan.resolve().parent)
    try:
        findings = permissions(terraform, plan.resolve(), role, details=details or as_json)
    except (TerraformFailed, UnknownType) as why:
        raise click.ClickException(str(why)) from why
    sys.exit(report(findings, as_json=as_json))


def permissions(terraform: Terraform, plan: Path, role: str | None, *, details: bool) -> Iterator[Finding]:
    """What the deployer lacks for a saved plan; where it lacks nothing, one line that says so.

    Args:
        terraform: in the stack's folder.
        plan: the file.
        role: name of the deployer; None for the one these credentials are of.
        details: also a line for each action.

    Raises:
        TerraformFailed: Terraform cannot read the plan.
        UnknownType: the plan holds a type of resource that the table of permissions lacks.
    """
    shown = terraform.shown(plan)
    backend = terraform.backend
    asking = requests(shown, {"bucket": backend.bucket, "key": backend.key})
    return _looked(asking, shown["variables"]["aws_region"]["value"], role, details)


def _looked(asking: Asking, region: str, role: str | None, details: bool) -> Iterator[Finding]:
    allowed: Iterable[Finding] = ()
    try:
        found = list(compared(asking, who := deployer(client("sts", region), client("iam", region), role)))
        allowed = [finding for finding in found if finding.ok]
        yield from (finding for finding in found if not finding.ok)
        if len(allowed) == len(found):
            yield Finding("permissions", True, f"role {who.name} may do each of the {len(found)} actions{_HINT}")
    except CannotLook as why:
        yield unseen(why)
        allowed = [Finding(action, True, f"needed by {whom}") for action, whom in _by_action(asking)]
    yield from allowed if details else ()


def compared(asking: Asking, who: Deployer) -> Iterator[Finding]:
    """A line for each action that is allowed wherever it is needed, and one for each request that is not."""
    decisions = {request: who.decide(request) for request in asking}
    denied = {request: decision for request, decision in decisions.items() if not decision.allowed}
    lacking = {request.action for request in denied}
    yield from (
        Finding(action, True, f"needed by {whom}") for action, whom in _by_action(asking) if action not in lacking
    )
    yield from (_missing(request, decision, asking[request], who) for request, decision in denied.items())


def _by_action(asking: Asking) -> Iterator[tuple[str, str]]:
    for action in sorted({request.action for request in asking}):
        addresses = sorted({each for request, whom in asking.items() if request.action == action for each in whom})
        yield action, _first(addresses)


def _first(addresses: Iterable[str]) -> str:
    first, *others = addresses
    return f"{first} and {len(others)} more" if others else first


def _missing(request: Request, decision: Decision, addresses: list[str], who: Deployer) -> Finding:
    return Finding(
        thing=request.action,
        ok=False,
        found=f"role {who.name} may not, on {_with_wildcards(request.resource)}: {decision.why}",
        wanted="allowed",
        why=f"{_first(addresses)} needs it; apply would stop there with AccessDenied, half done",
        fix=_fix(request, decision, who.name),
    )


def _fix(request: Request, decision: Decision, role: str) -> str:
    """Allow it; what is denied in words, or bounded, is for whoever wrote that."""
    if decision.why.startswith(("denied", "its boundary")):
        return "ask whoever made that statement: a denial stands against every other statement"
    document = {"Version": "2012-10-17", "Statement": [statement(request)]}
    name = "lacking-" + request.action.replace(":", "-")
    return (
        f"{program()} -chdir=terraform/bootstrap apply, where that made the role; for another: aws iam put-role-policy"
        f" --role-name {role} --policy-name {name} --policy-document '{json.dumps(document)}'"
    )


def statement(request: Request) -> dict[str, Any]:
    """The one that would let it be, and nothing else."""
    condition = {"Condition": {"StringEquals": dict(request.context)}} if request.context else {}
    return {"Effect": "Allow", "Action": request.action, "Resource": _with_wildcards(request.resource)} | condition


def _with_wildcards(resource: str) -> str:
    return re.sub(r"\{\w+\}", "*", resource)


def unseen(why: CannotLook) -> Finding:
    return Finding(
        thing="permissions of the deployer",
        ok=False,
        found=str(why),
        why="a missing right would stop apply half-way; make plan DETAILS=1 lists what the plan needs",
        fix="log in as the role that deploys, or name it: make plan ROLE=…; it needs iam:GetRole, iam:GetRolePolicy,"
        " iam:ListRolePolicies, iam:ListAttachedRolePolicies, iam:GetPolicy and iam:GetPolicyVersion",
        seen=False,
    )


if __name__ == "__main__":
    main()
