"""The commands of steps 1 and 3 of docs/deploy.md, pasted into a shell with the real AWS CLI, against moto."""

import re
from pathlib import Path
from typing import Any

import pytest

from chalicelib.settings import Settings
from tests.contract.repository import fences, page
from tests.deploy.cloud.inventory import REGION, client
from tests.deploy.conftest import initialised, played_aws
from tests.deploy.kit.doctor_patient import new_patient
from tests.deploy.kit.shell import AWS, WHY_SKIPPED, blocks, paste
from tests.deploy.kit.terraform_cli import Terraform, copy_of_terraform
from tools.doctor import cognito as doctor_cognito
from tools.doctor.__main__ import ONLINE

#: In us-east-1 S3 wants no location; AWS is played for each, which takes its time.
REGIONS = ["eu-central-1", pytest.param("us-east-1", marks=pytest.mark.release)]

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(not AWS.exists(), reason=WHY_SKIPPED),
]


def _commands(step: str, region: str) -> str:
    """Every shell block of that step, as a person in that region would paste it."""
    return "\n".join(blocks("docs/deploy.md", step)).replace("eu-central-1", region)


def _paste(text: str, url: str, home: Path) -> str:
    ran = paste(text, url, home)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("region", REGIONS)
def test_step_1_makes_a_versioned_private_bucket_in_that_region(region: str, tmp_path: Path) -> None:
    with played_aws() as url:
        _paste(_commands("1. The state", region), url, tmp_path)

        s3 = client("s3", url, region)
        assert s3.get_bucket_location(Bucket="octo-state")["LocationConstraint"] in {region, None}
        assert s3.get_bucket_versioning(Bucket="octo-state")["Status"] == "Enabled"
        assert all(s3.get_public_access_block(Bucket="octo-state")["PublicAccessBlockConfiguration"].values())


@pytest.mark.parametrize("region", REGIONS)
def test_step_3_makes_a_pool_and_prints_the_stacks_variables(region: str, tmp_path: Path) -> None:
    with played_aws() as url:
        told = _made_by_step_3(url, region, tmp_path)

        cognito = client("cognito-idp", url, region)
        caller = cognito.describe_user_pool_client(
            UserPoolId=told["cognito_user_pool_id"], ClientId=told["cognito_aud"]
        )["UserPoolClient"]
        domain = cognito.describe_user_pool_domain(Domain="octo-router-prod")["DomainDescription"]
        parameter = client("ssm", url, region).get_parameter(Name="/lambda-router/prod/redis-url")["Parameter"]
        assert told["cognito_user_pool_id"].startswith(f"{region}_")
        assert caller["AllowedOAuthFlows"] == ["client_credentials"]
        assert caller["AllowedOAuthScopes"] == [Settings.model_fields["router_scope"].default]
        assert domain["UserPoolId"] == told["cognito_user_pool_id"]
        assert parameter["Type"] == "SecureString"


def test_the_modules_of_step_3_fit_together(terraform: None, chalice: dict[str, Any], tmp_path: Path) -> None:
    (text,) = [each for each in fences(page("docs/deploy.md"), "hcl") if "modules/valkey" in each]
    copied = copy_of_terraform(tmp_path, chalice)
    (copied.folder / "home").mkdir()
    (copied.folder / "home/main.tf").write_text(text)
    home = Terraform(copied.folder / "home", {"TF_CLI_CONFIG_FILE": str(tmp_path / "terraform.rc")})

    initialised(home, "-backend=false").run("validate")


@pytest.mark.release
def test_doctor_finds_nothing_wrong_with_that_pool(terraform: None, tmp_path: Path) -> None:
    with played_aws() as url:
        told = _made_by_step_3(url, REGION, tmp_path)
        pool = {"id": told["cognito_user_pool_id"], "arn": told["cognito_user_pool_arn"], "client": told["cognito_aud"]}

        patient = new_patient(tmp_path / "stack", url, pool)
        checks = tuple(check for check in ONLINE if check.look.__module__ == doctor_cognito.__name__)
        assert len(checks) >= 3
        assert patient.faults(checks) == []


def _made_by_step_3(url: str, region: str, home: Path) -> dict[str, str]:
    """The variables that it prints."""
    printed = _paste(_commands("3. What must be there", region), url, home)
    told = dict(re.findall(r'^(\w+) += "(.+)"$', printed, re.MULTILINE))
    assert set(told) == {"cognito_user_pool_id", "cognito_user_pool_arn", "cognito_aud"}
    return told
