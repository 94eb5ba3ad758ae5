"""The user pool and its clients, from their first apply to their end, on moto."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.deploy.cloud.inventory import client
from tests.deploy.conftest import initialised
from tests.deploy.kit.terraform_cli import HAND_WRITTEN, Changes, Terraform, cli_configuration
from tools.doctor import cognito, sign_in
from tools.stack.configured import Stack
from tools.stack.findings import Finding

pytestmark = [pytest.mark.timeout(240), pytest.mark.release]

PARAMETER = "/lambda-router/prod/pages-client"

#: Both modules, as their READMEs show them, with what the test changes as variables.
CONFIGURATION = f"""
provider "aws" {{
  region      = "eu-central-1"
  max_retries = 2
}}

variable "minutes" {{
  default = 60
}}

variable "protected" {{
  default = true
}}

module "pool" {{
  source               = "./modules/cognito"
  name                 = "lambda-router-prod"
  domain               = "octo-router-prod"
  access_token_minutes = var.minutes
  deletion_protection  = var.protected
}}

module "pages" {{
  source        = "./modules/pages_client"
  user_pool_id  = module.pool.id
  scopes        = module.pool.scopes
  api_url       = "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/api"
  parameter     = "{PARAMETER}"
}}

output "pool" {{
  value = module.pool
}}
"""


@dataclass
class Life:
    """The pool's pool_life.

    Attributes:
        changes: what Terraform did or would do, by step.
        outputs: of ``modules/cognito``.
        outputs_text: the same, as Terraform prints them.
        clients: each app client after the first apply, by name.
        changed: the same after the change.
        findings: what ``make doctor`` says about the pool, for the variables that the module puts out.
        parameter: the value of the pages' parameter.
        left: pools at the end.
    """

    changes: dict[str, Changes]
    outputs: dict[str, Any]
    outputs_text: str
    clients: dict[str, dict[str, Any]]
    changed: dict[str, dict[str, Any]]
    findings: list[Finding]
    parameter: str
    left: list[str]


@pytest.fixture(scope="module")
def pool_life(terraform: None, aws_url: str, tmp_path_factory: pytest.TempPathFactory) -> Life:
    folder = tmp_path_factory.mktemp("pool")
    cli_configuration(folder)
    shutil.copytree(HAND_WRITTEN / "modules", folder / "pool/modules")
    (folder / "pool/main.tf").write_text(CONFIGURATION)
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    pool = initialised(Terraform(folder / "pool", {"AWS_ENDPOINT_URL": aws_url} | keys))
    changes = {"created": pool.apply(), "again": pool.plan()}
    printed = pool.run("output", "-json").out
    outputs = json.loads(printed)["pool"]["value"]
    clients = _clients(aws_url, outputs["id"])
    parameter = client("ssm", aws_url).get_parameter(Name=PARAMETER)["Parameter"]["Value"]
    findings = _examined(aws_url, outputs["stack_variables"])
    changes["changed"] = pool.apply(minutes=15, protected=False)
    changed = _clients(aws_url, outputs["id"])
    pool.run("destroy", "-auto-approve", "-no-color")
    left = [each["Id"] for each in client("cognito-idp", aws_url).list_user_pools(MaxResults=60)["UserPools"]]
    return Life(changes, outputs, printed, clients, changed, findings, parameter, left)


_CHECKS = (cognito.pool, cognito.clients, cognito.scope, sign_in.sign_in_client)


def _examined(aws_url: str, told: dict[str, Any]) -> list[Finding]:
    stack = Stack(connect=lambda service, region: client(service, aws_url, region))
    scope = {"cognito_region": "", "router_scope": "lambda-router/jobs"}
    vars(stack)["values"] = {"aws_region": "eu-central-1"} | scope | told  # Terraform would say the same, in seconds
    assert set(told) <= set(stack.declared)
    return [finding for check in _CHECKS for finding in check(stack)]


def _clients(aws_url: str, pool_id: str) -> dict[str, dict[str, Any]]:
    cognito = client("cognito-idp", aws_url)
    listed = cognito.list_user_pool_clients(UserPoolId=pool_id, MaxResults=60)["UserPoolClients"]
    described = [cognito.describe_user_pool_client(UserPoolId=pool_id, ClientId=each["ClientId"]) for each in listed]
    return {each["UserPoolClient"]["ClientName"]: each["UserPoolClient"] for each in described}


def test_the_second_plan_is_empty(pool_life: Life) -> None:
    assert pool_life.changes["created"].count == 7
    assert (pool_life.changes["again"].actions, pool_life.changes["again"].outputs) == ({}, [])
    assert [warning for changes in pool_life.changes.values() for warning in changes.warnings] == []


def test_token_times_and_protection_change_in_place(pool_life: Life) -> None:
    assert set(pool_life.changes["changed"].actions.values()) == {"update"}
    assert {name: each["AccessTokenValidity"] for name, each in pool_life.changed.items()} == {
        "login": 15,
        "machine": 15,
        "pages": 60,
    }


def test_destroy_leaves_no_pool(pool_life: Life) -> None:
    assert pool_life.left == []


def test_programs_have_a_secret_and_client_credentials_only(pool_life: Life) -> None:
    machine = pool_life.clients["machine"]

    assert machine["ClientSecret"]
    assert machine["AllowedOAuthFlows"] == ["client_credentials"]
    assert machine["AllowedOAuthScopes"] == ["lambda-router/jobs"]
    assert machine["ExplicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]


@pytest.mark.parametrize("name", ["login", "pages"])
def test_people_have_a_code_without_a_secret(pool_life: Life, name: str) -> None:
    public = pool_life.clients[name]

    assert "ClientSecret" not in public
    assert public["AllowedOAuthFlows"] == ["code"]
    assert set(public["AllowedOAuthScopes"]) == {"email", "openid", "lambda-router/jobs"}
    assert public["SupportedIdentityProviders"] == ["COGNITO"]
    assert public["RefreshTokenRotation"]["Feature"] == "ENABLED"
    assert "ALLOW_REFRESH_TOKEN_AUTH" not in public["ExplicitAuthFlows"]


@pytest.mark.parametrize("name", ["login", "machine", "pages"])
def test_no_client_tells_who_exists_or_keeps_a_token_alive(pool_life: Life, name: str) -> None:
    each = pool_life.clients[name]

    assert (each["PreventUserExistenceErrors"], each["EnableTokenRevocation"]) == ("ENABLED", True)
    assert each["TokenValidityUnits"] == {"AccessToken": "minutes", "IdToken": "minutes", "RefreshToken": "days"}


def test_the_secret_is_in_no_output(pool_life: Life) -> None:
    assert pool_life.outputs["machine_client_id"] == pool_life.clients["machine"]["ClientId"]
    assert pool_life.clients["machine"]["ClientSecret"] not in pool_life.outputs_text


def test_the_stack_is_told_both_clients(pool_life: Life) -> None:
    told = pool_life.outputs["stack_variables"]

    assert told["cognito_user_pool_id"] == pool_life.outputs["id"]
    assert told["cognito_user_pool_arn"] == pool_life.outputs["arn"]
    assert told["cognito_login_client_id"] == pool_life.clients["login"]["ClientId"]
    assert told["cognito_aud"].split(",") == [pool_life.clients[name]["ClientId"] for name in ("machine", "login")]


def test_doctor_finds_nothing_wrong_with_the_pool(pool_life: Life) -> None:
    assert len(pool_life.findings) >= 9
    assert [finding for finding in pool_life.findings if not finding.ok] == []


def test_the_pages_client_is_in_its_parameter(pool_life: Life) -> None:
    assert pool_life.parameter == pool_life.clients["pages"]["ClientId"]


def test_a_sign_in_returns_to_five_ports_that_no_system_hands_out(pool_life: Life) -> None:
    redirects = [urlsplit(each) for each in pool_life.outputs["login_redirects"]]

    assert sorted(pool_life.clients["login"]["CallbackURLs"]) == sorted(pool_life.outputs["login_redirects"])
    assert {(each.scheme, each.hostname, each.path) for each in redirects} == {("http", "127.0.0.1", "/callback")}
    ports = {each.port for each in redirects if each.port}
    assert len(ports) == 5
    assert all(1024 <= port < _first_ephemeral() for port in ports)


def _first_ephemeral() -> int:
    """Linux gives outgoing connections ports from here on; other systems begin at 49152."""
    told = Path("/proc/sys/net/ipv4/ip_local_port_range")
    return min(32768, int(told.read_text().split()[0])) if told.exists() else 32768
