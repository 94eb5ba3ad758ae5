"""The comparison of a saved plan's IAM requests with its deployer's permissions."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tools.permissions.identity import CannotLook, Deployer, deployer
from tools.permissions.plan import Asking, requests
from tools.permissions.policy import Decision, Request
from tools.stack.aws import client
from tools.stack.findings import Finding
from tools.stack.terraform import Terraform, program


def permissions(terraform: Terraform, plan: Path, role: str | None, *, details: bool) -> Iterator[Finding]:
    """Yield the deployer's missing permissions for a saved plan, or one line that says that none is missing.

    Args:
        terraform: in the stack's folder.
        plan: the plan's file.
        role: name of the deployer; None for the role of these credentials.
        details: whether to yield a line for each action, too.

    Raises:
        TerraformFailed: Terraform cannot read the plan.
        UnknownType: the plan holds a resource type that is missing in the table of permissions.
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
            has_all = f"role {who.name} has all {len(found)} permissions that the plan needs"
            yield Finding("permissions", True, f"{has_all}; make plan DETAILS=1 lists them")
    except CannotLook as why:
        yield unseen(why)
        allowed = [Finding(action, True, f"needed by {whom}") for action, whom in _by_action(asking)]
    yield from allowed if details else ()


def compared(asking: Asking, who: Deployer) -> Iterator[Finding]:
    """Yield a line for each action that is allowed wherever it is needed, and one for each denied request."""
    decisions = {request: who.decide(request) for request in asking}
    denied = {request: decision for request, decision in decisions.items() if not decision.allowed}
    lacking = {request.action for request in denied}
    yield from (
        Finding(action, True, f"needed by {whom}") for action, whom in _by_action(asking) if action not in lacking
    )
    for request, decision in denied.items():
        yield Finding(
            thing=request.action,
            ok=False,
            found=f"denied to role {who.name} on {_with_wildcards(request.resource)}: {decision.why}",
            wanted="allowed",
            why=f"{_first(asking[request])} needs it; apply would stop there with AccessDenied, half-way",
            fix=_fix(request, decision, who.name),
        )


def _by_action(asking: Asking) -> Iterator[tuple[str, str]]:
    for action in sorted({request.action for request in asking}):
        addresses = sorted({each for request, whom in asking.items() if request.action == action for each in whom})
        yield action, _first(addresses)


def _first(addresses: Iterable[str]) -> str:
    first, *others = addresses
    return f"{first} and {len(others)} more" if others else first


def _fix(request: Request, decision: Decision, role: str) -> str:
    """Return the command that allows the request; an explicit denial or a boundary is for its author to change."""
    if decision.why.startswith(("denied", "its boundary")):
        return "ask the owner of that statement to change it: an explicit denial overrides every other statement"
    document = {"Version": "2012-10-17", "Statement": [statement(request)]}
    name = "lacking-" + request.action.replace(":", "-")
    return (
        f"{program()} -chdir=terraform/bootstrap apply, if that created the role; otherwise: aws iam put-role-policy"
        f" --role-name {role} --policy-name {name} --policy-document '{json.dumps(document)}'"
    )


def statement(request: Request) -> dict[str, Any]:
    """Return the statement that allows exactly this request."""
    condition = {"Condition": {"StringEquals": dict(request.context)}} if request.context else {}
    return {"Effect": "Allow", "Action": request.action, "Resource": _with_wildcards(request.resource)} | condition


def _with_wildcards(resource: str) -> str:
    return re.sub(r"\{\w+\}", "*", resource)


def unseen(why: CannotLook) -> Finding:
    return Finding(
        thing="permissions of the deployer",
        ok=False,
        found=str(why),
        why="a missing permission would stop apply half-way; make plan DETAILS=1 lists what the plan needs",
        fix="log in as the role that deploys, or name it: make plan ROLE=…; the check needs iam:GetRole,"
        " iam:GetRolePolicy, iam:ListRolePolicies, iam:ListAttachedRolePolicies, iam:GetPolicy, iam:GetPolicyVersion",
        seen=False,
    )
