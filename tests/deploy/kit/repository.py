"""The repository on GitHub whose workflows deploy to an account of moto's, from its first commit on."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chalicelib import __version__
from tests.conftest import MakeToken
from tests.contract.workflows import jobs
from tests.deploy.cloud.account_wide import let_gateway_log, let_github_in
from tests.deploy.cloud.front_door import FrontDoor
from tests.deploy.cloud.inventory import REGION, client, inventory
from tests.deploy.cloud.outside import API, COGNITO, INDEX, OSV, address, outside, token_endpoint
from tests.deploy.cloud.package_index import package_index, publisher
from tests.deploy.cloud.user_pool import make_pool
from tests.deploy.conftest import VARIABLES, initialised, played_aws
from tests.deploy.kit.clone import Clone
from tests.deploy.kit.github import GitHub, Job
from tests.deploy.kit.life import NAME, ROLES, STATE_BUCKET, backend
from tests.deploy.kit.terraform_cli import Terraform, cli_configuration
from tests.osv import database
from tools.package.writer import sums_of, unpack
from tools.stack.repository import ZIP

OWN = "octo/router"


def pull_request(head: str) -> dict[str, Any]:
    """What GitHub says of one from that repository."""
    return {"github": {"repository": OWN, "event": {"pull_request": {"head": {"repo": {"full_name": head}}}}}}


#: A push to main, a pull request of our own, a night, five minutes, a tag.
EVENTS: dict[str, dict[str, Any]] = {
    "deploy": {},
    "ci": pull_request(OWN),
    "drift": {},
    "canary": {},
    "nightly": {},
    "release": {"github": {"ref_name": f"v{__version__}", "actor": "octo", "token": "token of the job"}},
}
#: Workflows that look at no stack.
WITHOUT_STACK = ("deploy", "release")
#: The job that makes one.
STACK = ("deploy", "deploy")
#: ``make test`` would run the test that runs it, so it gets a single small file; what the others run for minutes is
#: only collected, and what is fetched from GitHub is not.
REDUCED = {
    "make test": {"PYTEST_ADDOPTS": "--no-cov tests/contract/test_locks.py"},
    "make test-release": {"PYTEST_ADDOPTS": "--collect-only"},
    "make test-gateway": {"PYTEST_ADDOPTS": "--collect-only"},
    "make test-workflows": {"PYTEST_ADDOPTS": "--collect-only"},
    "make explore": {"DEPTH": "1", "MINUTES": "0", "FAULTS": "1"},
    "make proof": {"PYTEST_ADDOPTS": "--collect-only"},
    "make rehearsals": {"PYTEST_ADDOPTS": "--collect-only"},
    "make conformance": {"PYTEST_ADDOPTS": "--collect-only"},
    "make test-box": {"PYTEST_ADDOPTS": "--collect-only"},
    "make test-engines": {"PYTEST_ADDOPTS": "--collect-only"},
    "make test-dashboards": {"PYTEST_ADDOPTS": "--collect-only"},
    "make test-browser": {"PYTEST_ADDOPTS": "--collect-only"},
    "make test-clients": {"PYTEST_ADDOPTS": "--collect-only"},
    "make open-responses": {"OPEN_RESPONSES": "--help"},
}


@dataclass
class Repository:
    """What ran, and where.

    Attributes:
        github: its commit, settings and machines.
        aws_url: moto's.
        credentials: variables that each role brings: plan, deploy, canary.
        before: what the account held before the first deploy.
    """

    github: GitHub
    aws_url: str
    credentials: dict[str, dict[str, str]]
    before: dict[str, list[str]]
    _jobs: dict[tuple[str, str], Job] = field(default_factory=dict)

    def job(self, workflow: str, name: str) -> Job:
        """One job, run once; before it those that it needs, and a stack to look at."""
        if (workflow, name) not in self._jobs:
            needs = jobs()[workflow, name].get("needs", "check")
            needed = [each for each in ([needs] if isinstance(needs, str) else needs) if each != "check"]
            stack = [] if needed or workflow in WITHOUT_STACK else [STACK]
            for at in [*((workflow, each) for each in needed), *stack]:
                assert not self.job(*at).failed, self.job(*at).record
            self._jobs[workflow, name] = self.github.run(workflow, name, EVENTS[workflow])
        return self._jobs[workflow, name]

    def clone(self, folder: Path, role: str = "deploy") -> Clone:
        """A fresh one, of somebody who has credentials and was told where the state is."""
        clone = self.github.origin.cloned(folder)
        clone.environ.update(self.credentials[role] | {"STATE_BUCKET": STATE_BUCKET, "AWS_REGION": REGION})
        return clone

    def aws(self, service: str) -> Any:
        return client(service, self.aws_url)


@contextmanager
def repository(folder: Path, redis_url: str, jwks: dict[str, Any], make_token: MakeToken) -> Iterator[Repository]:
    """An account with state bucket, user pool, Redis URL and roles, and a repository that was told of them."""
    tasks: dict[str, Path] = {}
    with ExitStack() as open_ones:
        url = open_ones.enter_context(played_aws())
        pool, secret = _prepare(url, redis_url)
        issuer = f"https://cognito-idp.{REGION}.amazonaws.com/{pool['id']}"
        index = open_ones.enter_context(package_index(folder / "index"))
        played = {
            API: address(open_ones.enter_context(FrontDoor(tasks.__getitem__, url, NAME, "live", "/api")).url),
            COGNITO: open_ones.enter_context(
                token_endpoint(pool["client"], secret, lambda: make_token(iss=issuer, client_id=pool["client"]))
            ),
            OSV: address(open_ones.enter_context(database({}))),
            INDEX: address(index),
        }
        cli_configuration(folder)
        origin = Clone.into(folder / "origin")
        origin.environ.update(open_ones.enter_context(outside(folder, played)))
        origin.environ.update(publisher(index, INDEX))
        _release(origin)
        origin.environ.update({"AWS_ENDPOINT_URL": url, "TF_CLI_CONFIG_FILE": str(folder / "terraform.rc")})
        told = _roles(origin.cloned(folder / "bootstrap"), pool["arn"])
        credentials = {role: _credentials(url, told[f"{role}_role_arn"]) for role in ("plan", "deploy", "canary")}

        def uploaded(artefact: Path) -> None:
            code = sums_of(artefact / ZIP).code_sha256
            tasks[code] = folder / f"task {len(tasks)}"
            unpack(artefact / ZIP, tasks[code])

        github = GitHub(
            folder,
            origin,
            {"vars": _variables(told, pool, jwks), "secrets": {"COGNITO_CLIENT_SECRET": secret}},
            {told[f"{role}_role_arn"]: given for role, given in credentials.items()},
            REDUCED,
            uploaded,
        )
        yield Repository(github, url, credentials, inventory(url))


def _release(origin: Clone) -> None:
    """This version is released: it has notes and a tag."""
    changelog = origin.root / "CHANGELOG.md"
    first = "## [Unreleased]\n"
    changelog.write_text(changelog.read_text().replace(first, f"{first}\n## [{__version__}] - 2026-12-01\n", 1))
    origin.commit()
    subprocess.run(["git", "tag", f"v{__version__}"], cwd=origin.root, check=True)


def _prepare(url: str, redis_url: str) -> tuple[dict[str, str], str]:
    """Steps 1 to 3 of docs/deploy.md, without the roles; the pool, and the secret of its client."""
    let_github_in(lambda service: client(service, url))
    let_gateway_log(lambda service: client(service, url))
    client("s3", url).create_bucket(Bucket=STATE_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    client("ssm", url).put_parameter(Name=VARIABLES["redis_url_parameter"], Type="SecureString", Value=redis_url)
    pool = make_pool(url, NAME)
    described = client("cognito-idp", url).describe_user_pool_client(UserPoolId=pool["id"], ClientId=pool["client"])
    return pool, described["UserPoolClient"]["ClientSecret"]


def _roles(clone: Clone, pool_arn: str) -> dict[str, str]:
    """The roles of step 2; bootstrap's outputs."""
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    bootstrap = Terraform(clone.root / "terraform/bootstrap", clone.environ | keys)
    initialised(bootstrap, *backend("lambda-router/prod-bootstrap.tfstate"))
    bootstrap.apply(**ROLES | {"github": ROLES["github"] | {"user_pool_arn": pool_arn}})
    return {name: output["value"] for name, output in json.loads(bootstrap.run("output", "-json").out).items()}


def _credentials(url: str, role: str) -> dict[str, str]:
    given = client("sts", url).assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }


def _variables(told: dict[str, str], pool: dict[str, str], jwks: dict[str, Any]) -> dict[str, str]:
    """What docs/github-actions.md has one set."""
    return {
        "AWS_REGION": REGION,
        "STATE_BUCKET": STATE_BUCKET,
        "PLAN_ROLE_ARN": told["plan_role_arn"],
        "DEPLOY_ROLE_ARN": told["deploy_role_arn"],
        "CANARY_ROLE_ARN": told["canary_role_arn"],
        "PERMISSIONS_BOUNDARY_ARN": told["boundary_policy_arn"],
        "COGNITO_AUD": pool["client"],
        "COGNITO_CLIENT_ID": pool["client"],
        "COGNITO_JWKS": json.dumps(jwks),
        "COGNITO_TOKEN_URL": f"https://{COGNITO}/oauth2/token",
        "COGNITO_USER_POOL_ARN": pool["arn"],
        "COGNITO_USER_POOL_ID": pool["id"],
        "PUBLISH_WHEEL": "true",
        "REDIS_URL_PARAMETER": VARIABLES["redis_url_parameter"],
    }
