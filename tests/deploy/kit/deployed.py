"""One stack, applied once for all tests that look at it: real Terraform, moto for AWS, Chalice's own zip.

It is without wheels, which are installed beside it anyway: ``test_artefact.py`` runs the one that ships.
"""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy.cloud.front_door import FrontDoor
from tests.deploy.cloud.inventory import REGION, client
from tests.deploy.conftest import VARIABLES, initialised, played_aws
from tests.deploy.kit.printed_commands import Shell
from tests.deploy.kit.stand_in import chalice_json
from tests.deploy.kit.terraform_cli import Terraform, copy_of_terraform
from tools.package.writer import unpack
from tools.release.live_alias import LiveAlias
from tools.release.reimport import reimport
from tools.release.rollback import rollback
from tools.stack import terraform as terraform_cli
from tools.stack.deployed import DeployedStack, deployed_stack
from tools.stack.findings import Finding
from tools.verify.drift import drift
from tools.verify.stack import verify

NAME = "lambda-router-prod"
BUCKET = "state"
MORE_VARIABLES = "more.auto.tfvars"
_KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}


@dataclass
class Deployed:
    """A stack on moto, with its URL at work.

    Attributes:
        terraform: of a copy of ``terraform/`` with the package beside it.
        aws_url: moto's.
        door: what answers on the stage's URL.
        variables: Terraform's.
    """

    terraform: Terraform
    aws_url: str
    door: FrontDoor
    variables: dict[str, Any]
    _stack: DeployedStack | None = None
    _options: list[str] = field(default_factory=list)

    @property
    def stack(self) -> DeployedStack:
        """As Terraform last applied it."""
        if self._stack is None:
            self._stack = deployed_stack(terraform_cli.Terraform(self.terraform.folder))
        return self._stack

    @property
    def environ(self) -> dict[str, str]:
        """With which the product's programs find Terraform's provider and moto."""
        return self.terraform.environ | {"TF_CLI_CONFIG_FILE": str(self.terraform.folder.parent / "terraform.rc")}

    def aws(self, service: str) -> Any:
        return client(service, self.aws_url)

    @property
    def package(self) -> Path:
        """The zip that lies beside Terraform."""
        return self.terraform.folder / "deployment.zip"

    def newest(self) -> str:
        """The number of the version published last."""
        versions = self.aws("lambda").list_versions_by_function(FunctionName=NAME)["Versions"]
        return str(max(int(each["Version"]) for each in versions if each["Version"] != "$LATEST"))

    def wrong(self) -> list[Finding]:
        """What ``verify`` finds wrong."""
        found = verify(self.stack, self.door.url, folder=self.terraform.folder, patience=0)
        return [finding for finding in found if not finding.ok]

    def drifted(self) -> list[Finding]:
        """What ``drift`` finds wrong."""
        found = drift(terraform_cli.Terraform(self.terraform.folder), self.door.url, patience=0)
        return [finding for finding in found if not finding.ok]

    @property
    def shell(self) -> Shell:
        """Where printed commands run. The package is in the folder already, and Terraform's questions are answered."""
        return Shell(
            self.terraform.folder.parent,
            self.aws_url,
            {
                "make package": lambda _: None,
                "make plan": lambda words: self.plan(*words[2:]),
                "make apply": lambda _: self.apply(),
                "make release": lambda _: self.move_alias(self.newest()),
                "make reimport": lambda _: reimport(self.stack),
            },
        )

    def move_alias(self, version: str) -> None:
        """As ``make release`` leaves it."""
        rollback(LiveAlias.of(self.stack), int(version))

    def plan(self, *words: str) -> None:
        """``make plan``, perhaps with ``REPLACE=address``: it counts when that is applied."""
        self._options = [f"-replace={word.removeprefix('REPLACE=')}" for word in words]

    def apply(self) -> None:
        self._stack = None
        self.terraform.run("apply", "-auto-approve", "-input=false", "-no-color", *self._options)
        self._options = []


@contextmanager
def deployed_to_moto(
    folder: Path,
    redis_url: str,
    jwks: dict[str, Any],
    tfvars: Callable[[str], str] = lambda _: "",
    *,
    has_pages: bool = False,
) -> Iterator[Deployed]:
    """A new account with the stack in it.

    Args:
        tfvars: further variables as Terraform writes them, for the AWS at that URL.
    """
    chalice = chalice_json(folder, has_pages=has_pages)
    variables = VARIABLES | {"cognito_jwks": json.dumps(jwks), "router_docs": str(has_pages).lower()}
    with played_aws() as url:
        _prepare(url, variables["redis_url_parameter"], redis_url)
        terraform = copy_of_terraform(folder, chalice)
        (terraform.folder / MORE_VARIABLES).write_text(tfvars(url))
        terraform.environ = _KEYS | {"AWS_ENDPOINT_URL": url}
        shutil.copy(folder / "out/deployment.zip", terraform.folder)
        unpack(folder / "out/deployment.zip", folder / "task")
        backend = {"bucket": BUCKET, "key": "prod.tfstate", "region": REGION, "use_path_style": "true"}
        initialised(terraform, *(f"-backend-config={name}={value}" for name, value in backend.items()))
        terraform.apply(**variables)
        with FrontDoor(lambda _: folder / "task", url, NAME, "live") as door:
            yield Deployed(terraform, url, door, variables)


def _prepare(url: str, parameter: str, redis_url: str) -> None:
    client("s3", url).create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    client("ssm", url).put_parameter(Name=parameter, Type="SecureString", Value=redis_url)


def another_zip(path: Path) -> None:
    """Make the zip one with another hash that does the same."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(f"NOTE-{len(archive.namelist())}", (1980, 1, 1, 0, 0, 0)), "built later")
