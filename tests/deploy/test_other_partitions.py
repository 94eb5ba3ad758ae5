"""The roles and the stack in another partition than aws: made, planned again and destroyed, as in eu-central-1.

Not in eusc-de-east-1: version 5.100 of Terraform's AWS provider takes no ARN of that region ("invalid region value").
What can be seen there without it is in terraform/tests/partitions.tftest.hcl.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chalicelib.partitions import partition_of
from tests.deploy.cloud.account_wide import let_github_in
from tests.deploy.cloud.inventory import client
from tests.deploy.cloud.user_pool import make_pool
from tests.deploy.conftest import VARIABLES, initialised, played_aws
from tests.deploy.kit.life import ACCOUNT, NAME, ROLES, STATE_BUCKET, STATE_KEY, backend
from tests.deploy.kit.terraform_cli import Changes, Terraform, copy_of_terraform

pytestmark = [pytest.mark.release, pytest.mark.timeout(600)]


@dataclass
class Abroad:
    """What Terraform did in a region, and the states that it wrote meanwhile."""

    region: str
    again: Changes
    states: str
    outputs: dict[str, str]
    left: list[str]


@pytest.fixture(scope="module", params=["us-gov-west-1"])
def abroad(
    request: pytest.FixtureRequest, terraform: None, chalice: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Abroad]:
    with played_aws() as url:
        yield _live(tmp_path_factory.mktemp("abroad"), url, chalice, request.param)


def _live(folder: Path, url: str, chalice: dict[str, Any], region: str) -> Abroad:
    s3, parameters = client("s3", url, region), client("ssm", url, region)
    s3.create_bucket(Bucket=STATE_BUCKET, CreateBucketConfiguration={"LocationConstraint": region})
    pool = make_pool(url, NAME, region)
    stack = copy_of_terraform(folder, chalice)
    stack.environ = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "TF_CLI_CONFIG_FILE": str(folder / "terraform.rc"),
    }
    bootstrap = Terraform(stack.folder / "bootstrap", stack.environ)
    roles = ROLES | {
        "aws_region": region,
        "github": ROLES["github"] | {"user_pool_arn": pool["arn"], "kms_key_arns": []},
    }
    partition = partition_of(region).name
    variables = VARIABLES | {
        "aws_region": region,
        "cognito_aud": pool["client"],
        "cognito_user_pool_arn": pool["arn"],
        "cognito_user_pool_id": pool["id"],
        "permissions_boundary_arn": f"arn:{partition}:iam::{ACCOUNT}:policy/{NAME}-boundary",
    }
    let_github_in(lambda service: client(service, url, region), f"sts.{partition_of(region).dns_suffix}")
    initialised(bootstrap, *backend("bootstrap.tfstate", region))
    bootstrap.apply(**roles)
    initialised(stack, *backend(STATE_KEY, region))
    stack.apply(**variables)
    again = stack.plan(**variables)
    told = parameters.get_parameters_by_path(Path="/lambda-router/prod/outputs")["Parameters"]
    states = [s3.get_object(Bucket=STATE_BUCKET, Key=key)["Body"].read() for key in ("bootstrap.tfstate", STATE_KEY)]
    stack.save("destroy.tfplan", "-destroy", **variables)
    stack.apply_saved("destroy.tfplan")
    functions = client("lambda", url, region).list_functions()["Functions"]
    return Abroad(
        region=region,
        again=again,
        states=b"\n".join(states).decode(),
        outputs={each["Name"].rpartition("/")[2]: each["Value"] for each in told},
        left=[each["FunctionName"] for each in functions],
    )


def test_the_second_plan_is_empty(abroad: Abroad) -> None:
    assert (abroad.again.actions, abroad.again.warnings) == ({}, [])


def test_every_arn_is_in_the_partition(abroad: Abroad) -> None:
    arns = re.findall(r"arn:(aws[\w-]*):[\w-]+:([\w-]*):", abroad.states)

    assert len(arns) >= 100
    assert {partition for partition, _ in arns} == {partition_of(abroad.region).name}
    assert {region for _, region in arns} <= {abroad.region, ""}


def test_callers_are_told_a_host_of_the_partition(abroad: Abroad) -> None:
    assert abroad.outputs["api_url"].endswith(
        f".execute-api.{abroad.region}.{partition_of(abroad.region).dns_suffix}/api"
    )


def test_github_asks_for_a_token_for_the_partitions_sts(abroad: Abroad) -> None:
    (provider,) = [
        instance["attributes"]
        for resource in json.loads(abroad.states.partition("\n{")[0])["resources"]
        if resource["type"] == "aws_iam_openid_connect_provider"
        for instance in resource["instances"]
    ]

    assert provider["client_id_list"] == [f"sts.{partition_of(abroad.region).dns_suffix}"]


def test_destroy_leaves_no_function_behind(abroad: Abroad) -> None:
    assert abroad.left == []
