"""An AWS account on loopback that runs its functions: ministack, a process of its own with nothing of this machine.

It checks signatures and IAM (``AUTH``): the account's own key may do everything, a function what its role may.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx

from tests.contract.repository import ROOT
from tests.servers import free_port

PYTHON = ROOT / ".local/gateway/bin/python"
ACCOUNT = "123456789012"
REGION = "eu-central-1"
_SECRET = "test"  # the one that ministack knows for an account
_READY_SECONDS = 60


@dataclass(frozen=True)
class Account:
    """A running one.

    Attributes:
        folder: holds all that it writes, its log and the functions' code included.
    """

    port: int
    folder: Path
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """What ``AWS_ENDPOINT_URL`` names."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """With which programs find this account, and may do everything in it."""
        return {
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
        }

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=_SECRET,
        )

    def stage_url(self, api_id: str, stage: str) -> str:
        """Where that API answers: its own host name leads nowhere from here."""
        return f"{self.url}/_aws/execute-api/{api_id}/{stage}"


@contextmanager
def new_account(folder: Path) -> Iterator[Account]:
    """An empty account; every process of it has ended afterwards."""
    port = free_port()
    folder.mkdir(parents=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", "tests.gateway.emulator"],
            cwd=ROOT,
            env=_settings(port, folder),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C is for the tests, which end it in order
        )
    account = Account(port, folder, process)
    try:
        _wait_for(account)
        yield account
    finally:
        _end(process)
        shutil.rmtree(folder / "tmp")


def _settings(port: int, folder: Path) -> dict[str, str]:
    """Nothing else: functions inherit them, and Lambda's have nothing of a developer's shell."""
    (folder / "tmp").mkdir()
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "STATE_DIR": str(folder / "tmp/state"),
        "S3_DATA_DIR": str(folder / "tmp/s3"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",  # would listen on a port of its own
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
    }


def _wait_for(account: Account) -> None:
    until = time.monotonic() + _READY_SECONDS
    while time.monotonic() < until and account.process.poll() is None:
        try:
            if httpx.get(f"{account.url}/_ministack/health", trust_env=False, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    said = (account.folder / "log").read_text(errors="replace")
    raise AssertionError(f"ministack did not start; its status is {account.process.poll()}:\n{said[-2000:]}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
