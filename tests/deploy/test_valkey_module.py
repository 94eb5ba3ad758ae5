"""The life of terraform/modules/valkey on moto: created, unchanged, changed, destroyed; no secret in the state."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.cloud.inventory import REGION, client
from tests.deploy.conftest import initialised, played_aws
from tests.deploy.kit.terraform_cli import HAND_WRITTEN, Terraform, cli_configuration

pytestmark = [pytest.mark.release, pytest.mark.timeout(900)]

SECRET = "rediss://router:made-on-the-instance@203.0.113.7:6379/0"
_ROOT = """\
provider "aws" {
  region = "%s"
}
variable "queues" {
  default = ["tinyllama"]
}
variable "snapshot_days" {
  default = 7
}
module "valkey" {
  source        = "%s"
  stage_name    = "prod"
  queues        = var.queues
  snapshot_days = var.snapshot_days
}
"""


class Life:
    """One root module with a copy of the module in it, and its account."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        cli_configuration(folder)
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_ENDPOINT_URL": url}
        self.terraform = Terraform(folder / "root", keys | {"TF_CLI_CONFIG_FILE": str(folder / "terraform.rc")})
        self.module = Path(shutil.copytree(HAND_WRITTEN / "modules/valkey", folder / "valkey"))
        self.terraform.folder.mkdir()
        (self.terraform.folder / "main.tf").write_text(_ROOT % (REGION, self.module))
        initialised(self.terraform)

    @property
    def state(self) -> str:
        return (self.terraform.folder / "terraform.tfstate").read_text()


@pytest.fixture(scope="module")
def life(terraform: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with played_aws() as url:
        yield Life(tmp_path_factory.mktemp("valkey"), url)


def test_it_is_created_and_a_second_plan_is_empty(life: Life) -> None:
    created = life.terraform.apply(snapshot_days=7)

    assert set(created.actions.values()) == {"create"}
    assert created.warnings == []
    assert life.terraform.plan(snapshot_days=7).count == 0


def test_what_the_instance_publishes_is_neither_a_change_nor_in_the_state(life: Life) -> None:
    aws = client("ssm", life.url)
    for name, kind in (("redis-url", "SecureString"), ("valkey-ready", "String")):
        aws.put_parameter(Name=f"/lambda-router/prod/{name}", Type=kind, Value=SECRET, Overwrite=True)

    assert life.terraform.apply(snapshot_days=8).count == 1
    assert "made-on-the-instance" not in life.state
    assert aws.get_parameter(Name="/lambda-router/prod/redis-url", WithDecryption=True)["Parameter"]["Value"] == SECRET


def test_other_words_in_a_later_version_leave_what_the_instance_published(life: Life) -> None:
    """The provider would send an empty value with them, since it keeps none."""
    text = (life.module / "main.tf").read_text()
    (life.module / "main.tf").write_text(text.replace("Written by ${", "Published by ${"))

    life.terraform.apply(snapshot_days=8)

    aws = client("ssm", life.url)
    assert aws.get_parameter(Name="/lambda-router/prod/redis-url", WithDecryption=True)["Parameter"]["Value"] == SECRET
    assert life.terraform.plan(snapshot_days=8).count == 0


def test_another_queue_replaces_the_instance_and_keeps_the_volume_and_the_address(life: Life) -> None:
    planned = life.terraform.plan(snapshot_days=8, queues=["tinyllama", "llava"]).actions

    assert planned["module.valkey.aws_instance.this"] == "replace"
    assert not {name for name in planned if "aws_ebs_volume" in name or name.endswith("aws_eip.this")}


def test_nothing_is_left_after_it_is_destroyed(life: Life) -> None:
    life.terraform.run("destroy", "-auto-approve", "-input=false", timeout=300)

    assert json.loads(life.state)["resources"] == []
    assert client("ssm", life.url).describe_parameters()["Parameters"] == []
    assert client("iam", life.url).list_roles()["Roles"] == []
    volumes = client("ec2", life.url).describe_volumes()["Volumes"]
    assert [volume for volume in volumes if volume.get("Tags")] == []
