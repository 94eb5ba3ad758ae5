"""Two stacks in one account and region, by the commands of docs/deploy.md: neither touches what the other has."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.repository import ROOT
from tests.deploy.cloud.inventory import REGION, client, inventory
from tests.deploy.conftest import VARIABLES, initialised, played_aws
from tests.deploy.kit.clone import Clone
from tests.deploy.kit.shell import AWS, WHY_SKIPPED, blocks, paste
from tests.deploy.kit.terraform_cli import Terraform, cli_configuration, write_chalice, write_zip
from tools.doctor import gateway
from tools.stack.configured import Stack

pytestmark = [
    pytest.mark.release,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not AWS.exists(), reason=WHY_SKIPPED),
]

PAGE = "docs/deploy.md"
ROLES, REMOVAL = "2. The roles", "Removal"


@dataclass
class Account:
    """One account; a checkout for each of its stacks.

    Attributes:
        held: what it held, by step.
        wide: its log role and its identity providers, by step.
    """

    url: str
    folder: Path
    chalice: dict[str, Any]
    checkouts: dict[str, Terraform] = field(default_factory=dict)
    held: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    wide: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    log_role_is_well: dict[str, bool] = field(default_factory=dict)

    def paste(self, text: str, stage: str = "prod") -> None:
        ran = self.tried(text, stage)
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]

    def tried(self, text: str, stage: str = "prod") -> "subprocess.CompletedProcess[str]":
        """The page's text, with the other stack's name where that is wanted."""
        folder = self.folder / stage
        # At moto's address IAM wants a region, too. It is another one, so that whatever has a region has to name it.
        environ = {"TF_CLI_CONFIG_FILE": str(folder / "terraform.rc"), "AWS_DEFAULT_REGION": "us-east-1"}
        return paste(text.replace("prod", stage), self.url, folder, **environ)

    def checkout(self, stage: str) -> None:
        """The repository, with a small package that need not be built."""
        Clone.into(self.folder / stage)
        self.checkouts[stage] = Terraform(self.folder / stage / "terraform")
        write_chalice(self.checkouts[stage].folder, self.chalice)
        write_zip(self.checkouts[stage].folder, "def app(event, context): return {'statusCode': 200, 'body': '1'}\n")
        cli_configuration(self.folder / stage)
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        self.checkouts[stage].environ = keys | {"AWS_ENDPOINT_URL": self.url}

    def make(self, stage: str) -> None:
        """Steps 2 to 4. The parameter is the last block of step 3; the pool is another test's."""
        for text in blocks(PAGE, ROLES):
            self.paste(text, stage)
        self.paste(blocks(PAGE, "3. What must be there")[-1], stage)
        options = ("bucket=octo-state", f"key=lambda-router/{stage}.tfstate", f"region={REGION}", "use_path_style=true")
        initialised(self.checkouts[stage], *(f"-backend-config={option}" for option in options))
        self.checkouts[stage].apply(
            **VARIABLES
            | {
                "stage_name": stage,
                "redis_url_parameter": f"/lambda-router/{stage}/redis-url",
                "permissions_boundary_arn": f"arn:aws:iam::123456789012:policy/lambda-router-{stage}-boundary",
            }
        )

    def remember(self, step: str) -> None:
        self.held[step] = inventory(self.url)
        providers = client("iam", self.url).list_open_id_connect_providers()["OpenIDConnectProviderList"]
        role = client("apigateway", self.url).get_account().get("cloudwatchRoleArn", "")
        self.wide[step] = (role, [each["Arn"] for each in providers])
        stack = _Seen(connect=lambda service, _: client(service, self.url))
        self.log_role_is_well[step] = all(finding.ok for finding in gateway.log_role(stack))


class _Seen(Stack):
    region = REGION  # type: ignore[assignment]  # of no stack in particular


@pytest.fixture(scope="module")
def account(terraform: None, chalice: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """From nothing to two stacks, and back again one by one."""
    with played_aws() as url:
        account = Account(url, tmp_path_factory.mktemp("stacks"), chalice)
        account.checkout("prod")
        account.checkout("staging")
        for text in blocks(PAGE, "1. The state"):
            account.paste(text)
        account.make("prod")
        account.remember("one")
        account.make("staging")
        account.remember("two")
        one_stack, _, last = blocks(PAGE, REMOVAL)
        account.paste(one_stack, "prod")
        account.remember("second alone")
        account.paste(one_stack, "staging")
        account.remember("none")
        account.paste(last)
        account.remember("empty")
        yield account


def _of(stage: str, held: dict[str, list[str]]) -> dict[str, list[str]]:
    """What has the stage's name in its own."""
    named = {kind: [name for name in names if stage in name] for kind, names in held.items()}
    return {kind: names for kind, names in named.items() if names}


def test_a_second_stack_changes_nothing_of_the_first_and_nothing_of_the_account(account: Account) -> None:
    assert _of("prod", account.held["two"]) == _of("prod", account.held["one"])
    assert account.wide["two"] == account.wide["one"]
    assert account.wide["one"][0] == f"arn:aws:iam::123456789012:role/{gateway.ROLE}"
    assert len(account.wide["one"][1]) == 1


def test_a_second_stack_has_all_that_the_first_has(account: Account) -> None:
    first, second = (_of(stage, account.held["two"]) for stage in ("prod", "staging"))

    assert {kind: [name.replace("staging", "prod") for name in names] for kind, names in second.items()} == first
    assert {"functions", "apis", "alarms", "roles", "policies", "dashboards", "parameters"} <= set(first)


def test_removing_the_first_leaves_the_second_whole(account: Account) -> None:
    held = account.held["second alone"]

    assert _of("prod", held) == {}
    assert _of("staging", held) == _of("staging", account.held["two"])
    assert account.wide["second alone"] == account.wide["two"]


def test_api_gateway_can_log_as_long_as_there_is_a_stack(account: Account) -> None:
    assert account.log_role_is_well == {
        "one": True, "two": True, "second alone": True, "none": True, "empty": False
    }  # fmt: skip


def test_after_the_last_removal_the_account_is_empty(account: Account) -> None:
    assert account.held["none"] == {"roles": [gateway.ROLE]}
    assert account.held["empty"] == {}
    assert account.wide["empty"] == ("", [])
    assert client("s3", account.url).list_buckets()["Buckets"] == []


def test_roles_without_the_accounts_provider_are_refused_before_anything_is_made(
    terraform: None, chalice: dict[str, Any], tmp_path: Path
) -> None:
    with played_aws() as url:
        account = Account(url, tmp_path, chalice)
        account.checkout("prod")
        account.paste(blocks(PAGE, "1. The state")[0])

        ran = account.tried(blocks(PAGE, ROLES)[-1])

        assert ran.returncode == 1
        assert "finding IAM OIDC Provider by url" in ran.stderr
        assert "made_by_step_2_of_deploy_md" in ran.stderr
        assert inventory(url) == {}


@pytest.mark.smoke
def test_the_copied_workflows_name_the_second_stack_only(tmp_path: Path) -> None:
    workflows = tmp_path / ".github/workflows"
    workflows.mkdir(parents=True)
    for each in ("deploy", "drift", "canary"):
        (workflows / f"{each}.yml").write_text((ROOT / f".github/workflows/{each}.yml").read_text())

    (copying,) = blocks("docs/github-actions.md", "Variables")
    ran = paste(copying, "http://127.0.0.1:1", tmp_path)

    assert ran.returncode == 0, ran.stderr
    for each in ("deploy", "drift", "canary"):
        text = (workflows / f"{each}-staging.yml").read_text()
        assert "prod" not in text
        assert text.count("vars.") == text.count("vars.STAGING_") > 0
        first, second = (yaml.safe_load((workflows / f"{name}.yml").read_text()) for name in (each, f"{each}-staging"))
        assert second["name"] == f"{first['name']}-staging"
        assert second["concurrency"]["group"] != first["concurrency"]["group"]
        assert second["jobs"].keys() == first["jobs"].keys()


_ONCE_IN_BOOTSTRAP = """
resource "aws_api_gateway_account" "logs" {
  cloudwatch_role_arn = "arn:aws:iam::123456789012:role/lambda-router-prod-gateway-logs"
  depends_on          = [module.iam]
}
"""
_ONCE_IN_IAM = """
resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}
resource "aws_iam_role" "gateway_logs" {
  name               = "${var.name}-gateway-logs"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "apigateway.amazonaws.com" } }]
  })
}
resource "aws_iam_role_policy_attachment" "gateway_logs" {
  role       = aws_iam_role.gateway_logs.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}
"""


def test_what_an_older_bootstrap_made_for_all_is_forgotten_and_not_destroyed(
    terraform: None, chalice: dict[str, Any], tmp_path: Path
) -> None:
    with played_aws() as url:
        account = Account(url, tmp_path, chalice)
        account.checkout("prod")
        account.paste(blocks(PAGE, "1. The state")[0])
        folder = account.checkouts["prod"].folder
        main, once = folder / "bootstrap/main.tf", {"bootstrap": _ONCE_IN_BOOTSTRAP, "modules/iam": _ONCE_IN_IAM}
        text = main.read_text()
        main.write_text(text.partition("\nremoved {")[0])
        for name, made in once.items():
            (folder / name / "once.tf").write_text(made)
        provider = 'oidc_provider_arn="arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com",'
        roles = blocks(PAGE, ROLES)[-1]
        account.paste(roles.replace("{owner=", "{" + provider + "owner="))
        account.remember("older")
        for name in once:
            (folder / name / "once.tf").unlink()
        main.write_text(text)

        account.paste(roles)
        account.remember("today")
        of_the_roles = blocks(PAGE, REMOVAL)[0].partition("terraform -chdir=terraform/bootstrap")
        account.paste("".join(of_the_roles[1:]))
        account.remember("removed")

        assert account.wide["older"][0].endswith("/lambda-router-prod-gateway-logs")
        assert account.wide["older"] == account.wide["today"] == account.wide["removed"]
        assert account.log_role_is_well == {"older": True, "today": True, "removed": True}
