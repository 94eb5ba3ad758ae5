"""``python -m tools.permissions PLAN``: what a saved plan will ask of IAM, against what its deployer may do.

It changes nothing. ``make plan`` runs it after the plan, so that a right that lacks is named before anything is made.
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
from tools.permissions_plan import Asking, UnknownType, backend_of, requests
from tools.terraform_cli import Terraform, TerraformFailed, program


@click.command()
@click.argument("plan", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--role", help="Name of the role that will apply it; without: the one these credentials are of.")
@click.option("--json", "as_json", is_flag=True, help="One object for machines.")
def main(plan: Path, role: str | None, as_json: bool) -> None:
    """Compare what a saved plan needs with what its deployer has.

    Exit status 0: all is there; 1: could not be looked at; 3: something lacks.
    """
    try:
        shown = Terraform(plan.resolve().parent).shown(plan.resolve())
        asking = requests(shown, backend_of(plan.resolve().parent))
    except (TerraformFailed, UnknownType) as why:
        raise click.ClickException(str(why)) from why
    region = shown["variables"]["aws_region"]["value"]
    sys.exit(report(_looked(asking, region, role), as_json=as_json))


def _looked(asking: Asking, region: str, role: str | None) -> Iterator[Finding]:
    try:
        yield from compared(asking, deployer(client("sts", region), client("iam", region), role))
    except CannotLook as why:
        yield unseen(why)
        yield from (Finding(action, True, f"needed by {whom}") for action, whom in _by_action(asking))


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
        why="what the plan needs is listed below, but a right that lacks would stop apply half-way",
        fix="log in as the role that deploys, or name it: make plan ROLE=…; it needs iam:GetRole, iam:GetRolePolicy,"
        " iam:ListRolePolicies, iam:ListAttachedRolePolicies, iam:GetPolicy and iam:GetPolicyVersion",
        seen=False,
    )


if __name__ == "__main__":
    main()
