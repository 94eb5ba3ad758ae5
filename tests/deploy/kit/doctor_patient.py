"""The patients of ``make doctor``'s tests: copies of the repository's configuration, healthy until a test harms one."""

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from tests.contract.repository import ROOT
from tests.deploy.cloud import inventory
from tests.deploy.cloud.inventory import REGION
from tests.deploy.kit import printed
from tools.doctor.__main__ import OFFLINE, Check, examine
from tools.stack.configured import Stack
from tools.stack.findings import Finding

BUCKET, KEY = "doctor-state", "lambda-router/doctor.tfstate"
PARAMETER = "/lambda-router/doctor/redis-url"
BOUNDARY = "lambda-router-doctor-boundary"
client = cache(inventory.client)


class Patient:
    """A copy of the repository's configuration, its stack good in every way, and the account it goes to."""

    def __init__(self, root: Path, url: str, pool: dict[str, str]) -> None:
        self.root, self.url, self.pool = root, url, pool
        self.environ = {"AWS_REGION": REGION, "PATH": "/usr/local/bin:/usr/bin:/bin"}
        self.tfvars = root / "terraform/doctor.auto.tfvars"

    @property
    def stack(self) -> Stack:
        def connect(service: str, region: str) -> Any:
            return client(service, self.url)

        return Stack(self.root, self.root / "terraform", dict(self.environ), connect)

    def faults(self, checks: tuple[Check, ...] = OFFLINE) -> list[Finding]:
        return [finding for finding in examine(self.stack, checks) if not finding.ok]

    def set(self, name: str, value: Any) -> None:
        lines = [line for line in self.tfvars.read_text().splitlines() if not line.startswith(f"{name} ")]
        self.tfvars.write_text("\n".join([*lines, f"{name} = {json.dumps(value)}"]) + "\n")

    def mend(self, finding: Finding) -> None:
        printed.do(finding.fix, self.root, self.url, self.environ)

    def mend_the_one_fault(self, checks: tuple[Check, ...], thing: str, said: str) -> None:
        """Require that this alone is wrong, is named and explained, and is mended by the printed command."""
        faults = self.faults(checks)
        assert len(faults) == 1, faults
        assert faults[0].thing.startswith(thing)
        assert said in faults[0].found
        assert faults[0].why
        self.mend(faults[0])
        assert self.faults(checks) == []


def new_patient(root: Path, url: str, pool: dict[str, str]) -> Patient:
    """Whose stack is good in every way."""
    _copy(root)
    _initialise(root / "terraform")
    patient = Patient(root, url, pool)
    patient.tfvars.touch()
    for name, value in {
        "aws_region": REGION,
        "cognito_aud": pool["client"],
        "cognito_user_pool_arn": pool["arn"],
        "cognito_user_pool_id": pool["id"],
        "permissions_boundary_arn": f"arn:aws:iam::123456789012:policy/{BOUNDARY}",
        "redis_url_parameter": PARAMETER,
        "stage_name": "doctor",
    }.items():
        patient.set(name, value)
    return patient


def _copy(root: Path) -> None:
    for name in (".python-version", ".chalice/config.json", ".env.example"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / "terraform").mkdir()
    for path in [*(ROOT / "terraform").glob("*.tf"), ROOT / "terraform/.terraform.lock.hcl"]:
        shutil.copy(path, root / "terraform")


def _initialise(folder: Path) -> None:
    """What ``terraform init`` leaves behind, as far as it is looked at."""
    config = {"bucket": BUCKET, "key": KEY, "region": REGION, "use_lockfile": True}
    provider = folder / ".terraform/providers/registry.terraform.io/hashicorp/aws/5.100.0/linux_amd64"
    provider.mkdir(parents=True)
    (folder / ".terraform/terraform.tfstate").write_text(json.dumps({"backend": {"type": "s3", "config": config}}))
