"""A developer's stack by Chalice, taken over by Terraform as docs/deploy.md says, and what differs then."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.repository import fences, files, name_of, page
from tests.deploy.cloud.inventory import REGION, client, inventory
from tests.deploy.conftest import VARIABLES, initialised
from tests.deploy.kit.stack_facts import stack_facts
from tests.deploy.kit.terraform_cli import Changes, Terraform, copy_of_terraform
from tools.dev.__main__ import RECORD, run
from tools.package.source import SHIPPED

pytestmark = [pytest.mark.release, pytest.mark.timeout(300)]

NAME = "lambda-router-dev"
DEV = VARIABLES | {"stage_name": "dev", "redis_url_parameter": "/lambda-router/dev/redis-url"}
POOL = {name.upper(): DEV[name] for name in ("cognito_user_pool_id", "cognito_aud", "cognito_user_pool_arn")}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}

#: What differs on purpose: what make deploy-dev makes, what Terraform makes, and why. docs/deploy.md shows this table.
DIFFERENCES = {
    "API": ("lambda-router", "NAME", "Chalice names it after the app only, so two stacks' APIs have the same name"),
    "functions": ("NAME", "NAME, NAME-stream", "Chalice makes one; `streaming = false` omits Terraform's second"),
    "the API calls": ("NAME", "NAME-stream:live, NAME:live", "an alias can go back to an older version"),
    "alias": ("none", "live", "an alias can go back to an older version"),
    "published versions": ("none", "one for each change", "an alias needs an older version to go back to"),
    "may call the function": (
        "apigateway *",
        "apigateway api/*; events warm",
        "nothing but the API's stage and the warm rule needs to call it",
    ),
    "warm event": ("none", "rate(5 minutes)", "on a developer's stack a cold start does no harm"),
    "executions at once": ("the account's limit", "50", "one developer's stack needs no limit"),
    "a path's other methods": ("the gateway's 403", "the function's 405", "`make package` routes them to the function"),
    "gateway's own answers": ("AWS's own", "problem+json for 21 types", "`make package` adds them"),
    "throttle": ("the account's limit", "50 a second", "Chalice creates the stage without settings"),
    "access log": ("none", "JSON", "Chalice creates the stage without settings"),
    "role": ("api_handler", "runtime", "Terraform's is from modules/iam, within the permissions boundary"),
    "role may": (
        "logs:CreateLogGroup, logs:CreateLogStream, logs:PutLogEvents, ssm:GetParameter, ssm:GetParameters",
        "logs:CreateLogStream, logs:PutLogEvents, ssm:GetParameter",
        "Chalice's function creates its own log group",
    ),
    "log groups": (
        "Lambda's own, for ever",
        "4, kept 365 days",
        "Chalice can limit the time only for a group that has another name",
    ),
    "alarms": ("none", "10", "nobody is on call for a developer's stack"),
    "outputs in SSM": ("none", "8", "nobody else looks up a developer's stack"),
    "tags of the function": ("aws-chalice", "Application, ManagedBy, Stage", "Chalice's tag holds its own version"),
}


def checkout(folder: Path) -> Path:
    """This repository as far as it ships, without packages: they would take pip half a minute."""
    for path in files():
        if name_of(path).startswith(SHIPPED):
            (folder / name_of(path)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / name_of(path))
    (folder / "requirements.txt").write_text("")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    return folder


@dataclass
class Ways:
    facts: dict[str, dict[str, str]] = field(default_factory=dict)
    changes: dict[str, Changes] = field(default_factory=dict)
    held: dict[str, Any] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def ways(terraform: None, aws_url: str, chalice: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Ways:
    root, bucket = checkout(tmp_path_factory.mktemp("checkout")), "state-of-two-ways"
    client("s3", aws_url).create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    account = CREDENTIALS | {"AWS_ENDPOINT_URL": aws_url}
    stack = copy_of_terraform(tmp_path_factory.mktemp("taken-over"), chalice)
    stack.environ = account
    backend = (f"bucket={bucket}", "key=dev.tfstate", f"region={REGION}", "use_path_style=true")
    initialised(stack, *(f"-backend-config={option}" for option in backend))
    return _both(stack, root, aws_url, {"PATH": os.defpath, "AWS_REGION": REGION} | account | POOL)


def _both(stack: Terraform, root: Path, url: str, shell: Mapping[str, str]) -> Ways:
    ways = Ways()
    ways.held["before"] = inventory(url)
    ways.said["deploy"] = run(shell, root=root)
    ways.said["delete"] = run(shell, root=root, delete=True)
    ways.held["deleted"] = inventory(url)

    run(shell, root=root)
    ways.held["record"] = (root / RECORD).exists()
    ways.said["again"] = run(shell, root=root)
    ways.facts["chalice"] = stack_facts(url, NAME)
    ways.held["by chalice"] = _serving(url)
    client("logs", url).create_log_group(logGroupName=f"/aws/lambda/{NAME}")  # as Lambda does at the first request

    (stack.folder / "takeover.tf").write_text(takeover(ways.held["by chalice"]["api"]))
    ways.changes["takeover"] = stack.apply(**DEV)
    ways.held["by terraform"] = _serving(url)
    ways.changes["again"] = stack.plan(**DEV)
    ways.held["left over"] = _remove_leftovers(url)
    ways.facts["terraform"] = stack_facts(url, NAME)
    ways.held["roles"] = inventory(url)["roles"]
    httpx.post(f"{url}/moto-api/reset").raise_for_status()  # test_life.py shows what destroy leaves
    return ways


def _serving(url: str) -> dict[str, str]:
    """What must outlive the change of ways: the ids behind the API's URL."""
    gateway = client("apigateway", url)
    (api,) = gateway.get_rest_apis()["items"]
    (stage,) = gateway.get_stages(restApiId=api["id"])["item"]
    return {"api": api["id"], "stage": stage["stageName"]}


def takeover(api: str) -> str:
    """The page's imports, for this API and function."""
    blocks = next(block for block in fences(page("docs/deploy.md"), "hcl") if "import {" in block)
    return blocks.replace("a1b2c3d4e5", api).replace("lambda-router-prod", NAME)


def _remove_leftovers(url: str) -> dict[str, Any]:
    """What the page says to delete afterwards, by the same calls."""
    aws, iam, role = client("lambda", url), client("iam", url), f"{NAME}-api_handler"
    statements = json.loads(aws.get_policy(FunctionName=NAME)["Policy"])["Statement"]
    sids = [each["Sid"] for each in statements if each["Resource"].endswith(f":{NAME}")]
    for sid in sids:
        aws.remove_permission(FunctionName=NAME, StatementId=sid)
    policies = iam.list_role_policies(RoleName=role)["PolicyNames"]
    for policy in policies:
        iam.delete_role_policy(RoleName=role, PolicyName=policy)
    iam.delete_role(RoleName=role)
    return {"permissions": len(sids), "policies": policies}


def test_both_ways_make_the_same_but_for_what_is_meant(ways: Ways) -> None:
    chalice, terraform = ways.facts["chalice"], ways.facts["terraform"]

    assert chalice.keys() == terraform.keys()
    assert {what: (chalice[what], terraform[what]) for what in chalice if chalice[what] != terraform[what]} == {
        what: (one, other) for what, (one, other, _) in DIFFERENCES.items()
    }


def test_what_callers_meet_is_the_same(ways: Ways) -> None:
    same = ways.facts["chalice"].keys() - DIFFERENCES.keys()

    assert same >= {"routes", "authorizer", "stage", "runtime", "handler", "variables of the function", "function"}
    assert "POST /v1/jobs with lambda-router/jobs" in ways.facts["chalice"]["routes"]
    assert "GET /health open" in ways.facts["chalice"]["routes"]


def test_the_page_shows_the_differences() -> None:
    rows = [f"| {what} | {one} | {other} | {why} |" for what, (one, other, why) in DIFFERENCES.items()]

    assert "\n".join(rows) in page("docs/deploy.md")


def test_a_developers_stack_is_deleted_without_a_trace(ways: Ways) -> None:
    assert "Rest API URL: https://" in ways.said["deploy"]
    assert "Deleting IAM role" in ways.said["delete"]
    assert ways.held["deleted"] == ways.held["before"]


def test_a_second_deploy_changes_the_stack_that_is_there(ways: Ways) -> None:
    assert ways.held["record"]
    assert "Updating rest API" in ways.said["again"]
    assert "Creating" not in ways.said["again"].replace("Creating deployment package.", "")


def test_a_takeover_destroys_and_replaces_nothing(ways: Ways) -> None:
    actions = ways.changes["takeover"].actions

    assert set(actions.values()) == {"create", "update"}
    assert {name for name, action in actions.items() if action == "update"} == {
        "aws_api_gateway_rest_api.rest_api",
        "aws_api_gateway_stage.live",
        "aws_lambda_function.api_handler",
        "aws_cloudwatch_log_group.function",
    }


def test_after_a_takeover_the_plan_is_empty_and_the_url_the_same(ways: Ways) -> None:
    assert ways.changes["again"].actions == {}
    assert ways.held["by terraform"] == ways.held["by chalice"]


def test_what_a_takeover_leaves_is_what_the_page_deletes(ways: Ways) -> None:
    assert ways.held["left over"] == {"permissions": 1, "policies": [f"{NAME}-api_handler"]}
    assert ways.held["roles"] == [f"{NAME}-runtime"]
