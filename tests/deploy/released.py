"""A stack that is released and taken back by the product's own programs: real Terraform, moto for AWS."""

import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from tests.deploy import terraform_cli
from tests.deploy.conftest import VARIABLES
from tests.deploy.inventory import client
from tools.apply import apply
from tools.deployed_stack import DeployedStack
from tools.findings import Finding, Status
from tools.package import SUMS, ZIP
from tools.release_proof import Verify
from tools.terraform_cli import Terraform
from tools.terraform_merge import named
from tools.zip_writer import sums_of

NAME = "lambda-router-prod"
WRONG = Finding("route POST /v1/jobs", False, "404", "202", "nobody can send a job", "make apply")


def all_well(stack: DeployedStack) -> Iterator[Finding]:
    yield Finding("code of the alias", ok=True, found=stack.function_name)


def found_wrong(stack: DeployedStack) -> Iterator[Finding]:
    yield WRONG


@dataclass(frozen=True)
class Said:
    """How a program ended, and what it printed."""

    status: Status
    text: str


@dataclass
class Released:
    """One stack and whoever releases it."""

    stack: terraform_cli.Terraform
    url: str
    chalice: dict[str, Any]

    @property
    def terraform(self) -> Terraform:
        return Terraform(self.stack.folder)

    def package(self, number: int) -> str:
        """What ``make package`` leaves behind, small; the build."""
        build = f"0.1.0+g{number:012x}"
        folder = self.stack.folder
        terraform_cli.write_chalice(folder, named(self.chalice, build))
        terraform_cli.write_zip(folder, f"def app(event, context): return {number}\n")
        (folder / SUMS).write_text(sums_of(folder / ZIP).text(ZIP))
        return build

    def plan(self, **options: Any) -> terraform_cli.Changes:
        """``make plan``."""
        return self.stack.plan("-out=it.tfplan", **VARIABLES, **options)

    def apply(self, proof: Verify = all_well) -> Said:
        return said(lambda: apply(self.terraform, proof))

    def serving(self) -> dict[str, Any]:
        """What callers and other stacks meet."""
        alias = client("lambda", self.url).get_alias(FunctionName=NAME, Name="live")
        told = client("ssm", self.url).get_parameter(Name="/lambda-router/prod/outputs/function_version")
        return {
            "version": alias["FunctionVersion"],
            "weights": alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}),
            "told": told["Parameter"]["Value"],
        }


def said(program: Callable[[], Status]) -> Said:
    printed = io.StringIO()
    with redirect_stdout(printed):
        status = program()
    return Said(status, printed.getvalue())
