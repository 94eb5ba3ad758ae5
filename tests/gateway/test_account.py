"""The account that the other files here deploy to: what is left of it, and whether it asks IAM."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.contract.repository import ROOT
from tests.deploy.kit.terraform_cli import write_zip
from tests.gateway.account import Account, new_account

pytestmark = [pytest.mark.gateway, pytest.mark.usefixtures("account"), pytest.mark.timeout(120)]

_READS = """
import boto3
import os

def app(event, context):
    try:
        return boto3.client("ssm").get_parameter(Name=event["name"])["Parameter"]["Value"]
    except Exception as error:
        return type(error).__name__ + ": " + str(error)
"""
#: Starts an account with a function at work, says where, and waits for its own death.
_HOLDER = """
import sys, time
from pathlib import Path
from tests.gateway.account import new_account
from tests.gateway.test_account import reader

with new_account(Path(sys.argv[1])) as account:
    reader(account, Path(sys.argv[1]))("/mine")
    print(account.port, account.process.pid, flush=True)
    time.sleep(600)
"""


def reader(account: Account, folder: Path) -> Callable[[str], str]:
    """A function that reads a parameter, by a role that may read ``/mine`` only."""
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
    mine = {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "arn:aws:ssm:*:*:parameter/mine"}
    roles, functions = account.client("iam"), account.client("lambda")
    role = roles.create_role(RoleName="reader", AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
    roles.put_role_policy(RoleName="reader", PolicyName="reads", PolicyDocument=_policy(mine))
    for name in ("/mine", "/theirs"):
        account.client("ssm").put_parameter(Name=name, Type="String", Value=f"the value of {name}")
    write_zip(folder, _READS)
    code = {"ZipFile": (folder / "deployment.zip").read_bytes()}
    functions.create_function(FunctionName="reader", Runtime="python3.13", Role=role, Handler="app.app", Code=code)

    def read(name: str) -> str:
        answer = functions.invoke(FunctionName="reader", Payload=json.dumps({"name": name}))["Payload"]
        return str(json.loads(answer.read()))

    return read


def test_a_function_may_do_what_its_role_may_and_no_more(tmp_path: Path) -> None:
    with new_account(tmp_path / "account") as account:
        read = reader(account, tmp_path)

        assert read("/mine") == "the value of /mine"
        assert "AccessDenied" in read("/theirs")


def test_two_accounts_at_once_know_nothing_of_each_other(account: Account, tmp_path: Path) -> None:
    with new_account(tmp_path / "account") as other:
        other.client("ssm").put_parameter(Name="/only-there", Type="String", Value="1")

        with pytest.raises(ClientError, match="ParameterNotFound"):
            account.client("ssm").get_parameter(Name="/only-there")


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda each: each.name)
def test_nothing_runs_on_when_whoever_started_it_ends(tmp_path: Path, with_signal: signal.Signals) -> None:
    folder = tmp_path / "account"
    command = [sys.executable, "-c", _HOLDER, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as holder:
        assert holder.stdout is not None
        port = int(holder.stdout.readline().split()[0])
        assert _processes_in(folder)
        holder.send_signal(with_signal)

    _until(lambda: not _processes_in(folder))
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))


def _policy(*statements: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _processes_in(folder: Path) -> list[int]:
    """Processes, the account's own and its functions', whose HOME that folder is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"HOME={folder}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return [pid for pid in found if pid != os.getpid()]


def _until(true: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "something runs on"
        time.sleep(0.1)
