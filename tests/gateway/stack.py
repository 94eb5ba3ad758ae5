"""The packaged stack in an account that runs it, brought there by the Makefile's own targets."""

import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy.cloud.account_wide import let_gateway_log
from tests.deploy.kit.clone import Clone
from tests.deploy.kit.terraform_cli import Ran, Terraform, cli_configuration
from tests.gateway.account import REGION, Account
from tests.gateway.caller import Pool

NAME = "lambda-router-prod"
ORIGIN = "https://app.example.com"
_PARAMETER = "/lambda-router/prod/redis-url"
_BUCKET = "octo-state"
#: ministack gives an API the id that this tag names, so its URL is known before it is made.
_API_ID = "0a0b0c0d"
_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}


@dataclass
class Stack:
    """An applied one.

    Attributes:
        clone: the checkout that it was made from.
        variables: Terraform's.
    """

    account: Account
    pool: Pool
    clone: Clone
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.account.stage_url(_API_ID, "api")

    @property
    def api_id(self) -> str:
        return _API_ID

    def set(self, **variables: Any) -> None:
        """The stack's variables, in a file as docs/deploy.md has it."""
        self.variables |= variables
        (self.clone.root / "terraform/prod.auto.tfvars.json").write_text(json.dumps(self.variables))

    def make(self, *words: str, **environ: str) -> Ran:
        """``make WORDS``, which has to end well."""
        ran = self.clone.make(*words, environ=environ)
        assert ran.status == 0, f"make {' '.join(words)}\n{ran.said[-6000:]}"
        return ran

    def package(self, *origins: str) -> None:
        """``make package``, for pages of these origins: docs/operations.md has CORS set where it is packaged."""
        config = self.clone.root / ".chalice/config.json"
        stages = json.loads(config.read_text())
        stages["stages"]["terraform"]["environment_variables"]["ROUTER_CORS_ORIGIN"] = ",".join(origins)
        config.write_text(json.dumps(stages))
        self.clone.commit()
        self.make("package", f"ARCH={_ARCHITECTURES[platform.machine()]}")

    def apply(self) -> Ran:
        """Plan, read, apply: what ``make apply`` verifies over HTTP, too."""
        self.make("plan")
        return self.make("apply", f"URL={self.url}")


@contextmanager
def deployed(account: Account, redis_url: str, folder: Path) -> Iterator[Stack]:
    """From an empty account to a running API, and back to an empty account."""
    pool = Pool.made_in(account)
    _prepare(account, redis_url)
    clone = Clone.into(folder / "clone")
    clone.environ.update(account.environ | {"TF_CLI_CONFIG_FILE": str(cli_configuration(folder))})
    stack = Stack(account, pool, clone)
    stack.package(ORIGIN)
    stack.set(**_variables(pool))
    stack.make("init", f"STATE_BUCKET={_BUCKET}", f"AWS_REGION={REGION}")
    stack.apply()
    yield stack
    terraform = Terraform(clone.root / "terraform", clone.environ)
    terraform.run("destroy", "-auto-approve", "-input=false", "-no-color")


def _prepare(account: Account, redis_url: str) -> None:
    """Steps 1 and 3 of docs/deploy.md."""
    buckets = account.client("s3")
    buckets.create_bucket(Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    buckets.put_bucket_versioning(Bucket=_BUCKET, VersioningConfiguration={"Status": "Enabled"})
    let_gateway_log(account.client)
    account.client("ssm").put_parameter(Name=_PARAMETER, Type="SecureString", Value=redis_url)


def _variables(pool: Pool) -> dict[str, Any]:
    return {
        "aws_region": REGION,
        "cognito_aud": pool.client_id,
        "cognito_jwks": pool.keys,  # the pool's own address is AWS's
        "cognito_user_pool_arn": pool.arn,
        "cognito_user_pool_id": pool.id,
        "redis_url_parameter": _PARAMETER,
        "router_rate_burst": 100,
        "router_rate_per_minute": 6000,
        "stage_name": "prod",
        "tags": {"ms-custom-id": _API_ID},
    }
