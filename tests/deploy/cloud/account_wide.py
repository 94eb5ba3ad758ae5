"""What an account has one of, for all its stacks: GitHub's OpenID Connect provider and API Gateway's log role."""

import json
from collections.abc import Callable
from typing import Any

from tools.doctor.gateway import POLICY, ROLE, TRUST

type Connect = Callable[[str], Any]

GITHUB = "https://token.actions.githubusercontent.com"


def let_github_in(connect: Connect, audience: str = "sts.amazonaws.com") -> None:
    connect("iam").create_open_id_connect_provider(Url=GITHUB, ClientIDList=[audience])


def let_gateway_log(connect: Connect) -> None:
    """As docs/deploy.md does it: tests/deploy/test_deploy_page.py runs the page's own commands."""
    iam = connect("iam")
    role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    partition = role.split(":")[1]
    iam.attach_role_policy(RoleName=ROLE, PolicyArn=f"arn:{partition}:iam::aws:policy/{POLICY}")
    point_gateway_at(connect, role)


def point_gateway_at(connect: Connect, role: str) -> None:
    """One setting for account and region; empty: none."""
    change = {"op": "replace", "path": "/cloudwatchRoleArn", "value": role}
    connect("apigateway").update_account(patchOperations=[change])
