"""An instance of terraform/modules/valkey: rendered by Terraform, booted by cloud-init, in front of moto."""

import base64
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.box import debian_root
from tests.box.first_boot import surroundings
from tests.box.first_boot.machine import IMAGE, Machine, skip_unless_possible, unpack, volume
from tests.deploy.cloud.inventory import REGION, client
from tests.deploy.conftest import initialised, played_aws
from tests.deploy.kit.terraform_cli import HAND_WRITTEN, NoTerraform, Terraform, cli_configuration, terraform_path

_ROOT_MODULE = """\
provider "aws" {
  region = "%s"
}
module "valkey" {
  source     = "../modules/valkey"
  stage_name = "prod"
  queues     = ["tinyllama", "llava"]
  port       = %d
}
output "valkey_wait_for" {
  value = module.valkey.wait_for
}
"""
_PARAMETERS = "/lambda-router/prod"


@dataclass
class Home:
    """The instance that runs, and what the account says about it.

    Attributes:
        machine: the instance.
        aws_url: moto's.
        address: the Elastic IP, of which moto's lie in 127.0.0.0/8.
        port: for TLS.
        resources: what Terraform made, by address.
        boot_log: what was written at the first boot.
        folder: for files of tests.
    """

    machine: Machine
    aws_url: str
    address: str
    port: int
    resources: dict[str, dict[str, Any]]
    boot_log: str
    folder: Path

    @property
    def agent_path(self) -> str:
        """Where the bucket has the agent's package."""
        return f"/amazon-ssm-{REGION}/latest/debian_{_architecture()}/amazon-ssm-agent.deb"

    def state(self) -> dict[str, Any]:
        """What the instance says of itself."""
        return dict(json.loads(self.parameter("valkey-ready")["Value"]))

    def parameter(self, name: str) -> dict[str, Any]:
        ssm = client("ssm", self.aws_url)
        return dict(ssm.get_parameter(Name=f"{_PARAMETERS}/{name}", WithDecryption=True)["Parameter"])

    def url(self, name: str) -> str:
        """A published URL, with the published authority in a file beside it."""
        authority = self.folder / "authority.pem"
        authority.write_text(self.parameter("redis-authority")["Value"])
        return f"{self.parameter(name)['Value']}?ssl_ca_certs={authority}"

    def power_off(self) -> None:
        self.machine.power_off()

    def replaced(self) -> None:
        """Another instance with the volume of this one, as after a change of the user data."""
        self.machine.must("systemctl stop valkey-server.service")
        old = self.machine
        old.power_off()
        self.machine = Machine(
            old.folder.with_name("second"),
            old.image,
            old.device,
            old.device_name,
            "i-0000000000000002",
            old.user_data,
            old.environ,
            old.hosts,
        )
        self.machine.install()
        self.machine.power_on()
        _trust_the_bucket(self.machine, self.folder / "bucket.pem")
        self.boot_log += self.machine.first_boot()


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Made once: its tests run in the order of a home's life, and each leaves it serving."""
    skip_unless_possible()
    try:
        terraform_path()
    except NoTerraform as why:
        pytest.skip(str(why))
    archive = debian_root.archive("instance", IMAGE)
    folder = tmp_path_factory.mktemp("home")
    with ExitStack() as opened:
        aws_url = opened.enter_context(played_aws())
        port = _free_port()
        planned = _applied(folder, aws_url, port)
        host = f"s3.{REGION}.amazonaws.com"
        agent = surroundings.agent_package(folder, "3.3.1")
        files = {f"/amazon-ssm-{REGION}/latest/debian_{_architecture()}/amazon-ssm-agent.deb": agent}
        authority = opened.enter_context(surroundings.bucket(folder, host, files))
        shutil.copy(authority, folder / "bucket.pem")
        environ = {
            "AWS_ENDPOINT_URL": aws_url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": opened.enter_context(surroundings.metadata()),
        }
        machine = Machine(
            folder / "first",
            unpack(archive, folder / "image"),
            opened.enter_context(volume(folder)),
            planned["device"],
            planned["instance_id"],
            planned["user_data"],
            environ,
            f"{surroundings.BUCKET_ADDRESS} {host}\n",
        )
        machine.install()
        made = Home(machine, aws_url, planned["address"], port, planned["resources"], "", folder)
        opened.callback(made.power_off)
        machine.power_on()
        _trust_the_bucket(machine, authority)
        made.boot_log = machine.first_boot()
        yield made


def _applied(folder: Path, aws_url: str, port: int) -> dict[str, Any]:
    """The module's instance as Terraform makes it, without what only AWS would use."""
    shutil.copytree(HAND_WRITTEN / "modules/valkey", folder / "terraform/modules/valkey")
    cli_configuration(folder)
    root = Terraform(
        folder / "terraform/root",
        {
            "TF_CLI_CONFIG_FILE": str(folder / "terraform.rc"),
            "AWS_ENDPOINT_URL": aws_url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        },
    )
    root.folder.mkdir()
    (root.folder / "main.tf").write_text(_ROOT_MODULE % (REGION, port))
    initialised(root)
    root.run("apply", "-auto-approve", "-input=false", "-target=module.valkey.aws_instance.this")
    made = json.loads(root.run("show", "-json").out)["values"]["root_module"]["child_modules"][0]["resources"]
    values = {resource["address"]: resource["values"] for resource in made}
    volume_id = values["module.valkey.aws_ebs_volume.data"]["id"].replace("-", "")
    instance = values["module.valkey.aws_instance.this"]
    return {
        "resources": values,
        "address": values["module.valkey.aws_eip.this"]["public_ip"],
        "device": f"nvme-Amazon_Elastic_Block_Store_{volume_id}",
        "instance_id": instance["id"],
        "user_data": base64.b64decode(instance["user_data_base64"]),
    }


def _trust_the_bucket(machine: Machine, authority: Path) -> None:
    machine.must('printf %s "$AUTHORITY" >/usr/local/share/ca-certificates/bucket.crt', AUTHORITY=authority.read_text())
    machine.must("update-ca-certificates")


def _architecture() -> str:
    told = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True)
    return told.stdout.strip()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])
