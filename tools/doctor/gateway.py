"""API Gateway's log role: one setting per account and region, which none of our stacks creates or destroys."""

import json
from collections.abc import Iterator
from typing import Any

from tools.permissions.identity import Deployer, policies_of
from tools.permissions.policy import Request, statements
from tools.stack.configured import Stack
from tools.stack.findings import Finding

#: The role that docs/deploy.md creates, and that the GitHub roles may read.
ROLE = "api-gateway-logs"
#: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html#set-up-access-logging-permissions
POLICY = "service-role/AmazonAPIGatewayPushToCloudWatchLogs"
#: The actions of that policy that are needed to write logs.
_WRITING = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
_SERVICE = "apigateway.amazonaws.com"
_THING = "API Gateway's log role"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": _SERVICE}, "Action": "sts:AssumeRole"}],
}


def log_role(stack: Stack) -> Iterator[Finding]:
    """Check that there is a role, that API Gateway may assume it, and that it may write logs."""
    arn = stack.aws("apigateway").get_account().get("cloudwatchRoleArn", "")
    if not arn:
        why = "API Gateway rejects the stage, which has logs: CloudWatch Logs role ARN must be set in account settings"
        yield Finding(_THING, False, "none", "one", why, _making(stack))
        return
    name = arn.rpartition("/")[2]
    iam = stack.aws("iam")
    try:
        role = iam.get_role(RoleName=name)["Role"]
        holder = Deployer(name, policies_of(iam, name))
    except iam.exceptions.NoSuchEntityException:
        why = "no API of this account and region can write logs, because that role was deleted"
        yield Finding(_THING, False, f"{arn} does not exist", "an existing role", why, _making(stack))
        return
    yield _judged(stack, arn, role, holder)


def _judged(stack: Stack, arn: str, role: dict[str, Any], holder: Deployer) -> Finding:
    allowed = [each for each in statements(role["AssumeRolePolicyDocument"]) if each["Effect"] == "Allow"]
    trusted = [each.get("Principal", {}).get("Service", []) for each in allowed]
    if not any(_SERVICE in ([each] if isinstance(each, str) else each) for each in trusted):
        trust = f"aws iam update-assume-role-policy --role-name {holder.name} --policy-document '{json.dumps(TRUST)}'"
        why = "API Gateway cannot assume it, so no API of this account and region can write logs"
        return Finding(_THING, False, f"{arn} does not trust {_SERVICE}", "a role that trusts it", why, trust)
    group = f"arn:{_partition(arn)}:logs:{stack.region}:{arn.split(':')[4]}:log-group:API-Gateway-Execution-Logs_0/api"
    missing = [each for each in _WRITING if not holder.decide(Request(each, f"{group}:log-stream:0")).allowed]
    if missing:
        why = "no API of this account and region can write logs"
        found = f"{arn} has no permission for {', '.join(missing)}"
        return Finding(_THING, False, found, "a role with this permission", why, _attaching(arn, holder.name))
    return Finding(_THING, ok=True, found=arn)


def _making(stack: Stack) -> str:
    """Return the commands of docs/deploy.md, in one line."""
    account = stack.aws("sts").get_caller_identity()["Arn"]
    arn = f"arn:{_partition(account)}:iam::{account.split(':')[4]}:role/{ROLE}"
    change = json.dumps([{"op": "replace", "path": "/cloudwatchRoleArn", "value": arn}])
    return " && ".join(
        [
            f"aws iam create-role --role-name {ROLE} --assume-role-policy-document '{json.dumps(TRUST)}'",
            _attaching(arn, ROLE),
            f"aws apigateway update-account --region {stack.region} --patch-operations '{change}'",
        ]
    )


def _attaching(arn: str, name: str) -> str:
    policy = f"arn:{_partition(arn)}:iam::aws:policy/{POLICY}"
    return f"aws iam attach-role-policy --role-name {name} --policy-arn {policy}"


def _partition(arn: str) -> str:
    return arn.split(":")[1]
