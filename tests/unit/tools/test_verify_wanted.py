"""``tools/verify/wanted.py``: what the package says should run, with the values that Terraform was given."""

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.contract.repository import ROOT
from tools.package.writer import sums_of
from tools.stack.deployed import DeployedFunction, DeployedStack
from tools.verify.routes import Route, packaged
from tools.verify.wanted import NoPackage, Wanted

GOLDEN: dict[str, Any] = json.loads((ROOT / "tests/deploy/golden/chalice.tf.json").read_text())
VARIABLES = {"COGNITO_USER_POOL_ARN": "arn:of:pool", "ROUTER_SCOPE": "my/scope", "ROUTER_QUEUE_CAP": "5"}
STACK = DeployedStack(
    **{field.name: "" for field in dataclasses.fields(DeployedStack)}
    | {"function_invoke_arn": "arn:of:alias", "function_variables": VARIABLES}
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """What ``make package`` leaves behind."""
    write(tmp_path, GOLDEN, '__version__ = "1.2.3+g0123456789ab"\n')
    return tmp_path


def write(folder: Path, document: dict[str, Any], versioned: str) -> None:
    (folder / "chalice.tf.json").write_text(json.dumps(document))
    with zipfile.ZipFile(folder / "deployment.zip", "w") as archive:
        archive.writestr("chalicelib/__init__.py", versioned)


def test_expressions_become_the_values_that_were_applied(package: Path) -> None:
    wanted = Wanted.packaged(STACK, package)

    assert packaged(wanted.body)["POST /v1/jobs"] == Route(
        "AWS_PROXY arn:of:alias", "COGNITO_USER_POOLS cognito", ("my/scope",)
    )
    assert packaged(wanted.body)["ANY /health"] == Route("AWS_PROXY arn:of:alias", "NONE", ())
    assert wanted.variables["ROUTER_QUEUE_CAP"] == "5"
    assert wanted.variables["ROUTER_CORS_ORIGIN"] == ""


def test_the_paths_of_the_openai_api_are_wanted_as_they_stream(package: Path) -> None:
    function = {field.name: "" for field in dataclasses.fields(DeployedFunction)} | {"function_invoke_arn": "arn:2"}
    routes = packaged(Wanted.packaged(dataclasses.replace(STACK, stream_function=function), package).body)

    cognito = "COGNITO_USER_POOLS cognito"
    assert routes["POST /v1/responses"] == Route("AWS_PROXY arn:2", cognito, ("my/scope",), "STREAM 900000 ms")
    assert routes["POST /v1/jobs"] == Route("AWS_PROXY arn:of:alias", cognito, ("my/scope",))
    assert {route.partition(" ")[2].split("/")[2] for route, each in routes.items() if each.transfer != "BUFFERED"} == {
        "models",
        "responses",
        "chat",
    }


def test_without_streaming_every_path_is_wanted_buffered(package: Path) -> None:
    routes = packaged(Wanted.packaged(STACK, package).body)

    assert {route.integration for route in routes.values()} == {"AWS_PROXY arn:of:alias"}
    assert {route.transfer for route in routes.values()} == {"BUFFERED"}


def test_hash_and_build_are_those_of_the_zip(package: Path) -> None:
    wanted = Wanted.packaged(STACK, package)

    assert wanted.code_sha256 == sums_of(package / "deployment.zip").code_sha256
    assert wanted.build == "1.2.3+g0123456789ab"


@pytest.mark.parametrize("name", ["deployment.zip", "chalice.tf.json"])
def test_a_missing_file_is_named_with_the_command_that_makes_it(package: Path, name: str) -> None:
    (package / name).unlink()

    with pytest.raises(NoPackage, match=rf"there is no .*/{name}: make package"):
        Wanted.packaged(STACK, package)


def test_a_zip_without_a_version_is_refused(package: Path) -> None:
    write(package, GOLDEN, "")

    with pytest.raises(NoPackage, match=r"deployment\.zip has no version"):
        Wanted.packaged(STACK, package)


def test_an_expression_that_nothing_tells_is_refused_and_not_compared_as_text(package: Path) -> None:
    body = GOLDEN["locals"]["chalice_api_swagger"].replace("${var.router_scope}", "${var.other}")
    write(package, GOLDEN | {"locals": GOLDEN["locals"] | {"chalice_api_swagger": body}}, '__version__ = "1.2.3"\n')

    with pytest.raises(NoPackage, match=r"\$\{var\.other\}"):
        Wanted.packaged(STACK, package)


def test_a_packaged_preflight_is_a_mock() -> None:
    mock = {"x-amazon-apigateway-integration": {"type": "mock"}}

    assert packaged({"paths": {"/v1/jobs": {"options": mock}}}) == {"OPTIONS /v1/jobs": Route("MOCK", "NONE", ())}
