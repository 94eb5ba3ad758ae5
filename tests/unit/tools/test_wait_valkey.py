"""``make wait-valkey``, as a process, against an account whose instance says this or that."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from tests.contract.repository import ROOT
from tests.deploy.cloud.inventory import REGION, client

NAME = "/lambda-router/prod/valkey-ready"
OURS, EARLIER = "i-0123456789abcdef0", "i-0000000000000000a"
OUTPUT = {"instance_id": OURS, "parameter": NAME, "region": REGION}

#: Prints the outputs that lie in the folder, as Terraform would.
TERRAFORM = '#!/bin/sh\n[ "$2" = output ] && cat "${1#-chdir=}/outputs.json"\n'


@pytest.fixture(scope="module")
def aws_url() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


@pytest.fixture
def ssm(aws_url: str) -> Any:
    aws = client("ssm", aws_url)
    for parameter in aws.describe_parameters()["Parameters"]:
        aws.delete_parameter(Name=parameter["Name"])
    return aws


def waited(aws_url: str, folder: Path, minutes: str, outputs: object) -> "subprocess.CompletedProcess[str]":
    (folder / "outputs.json").write_text(json.dumps(outputs))
    program = folder / "terraform"
    program.write_text(TERRAFORM)
    program.chmod(0o755)
    environ = {
        **os.environ,  # noqa: TID251
        "TERRAFORM": str(program),
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    command = [sys.executable, "-m", "tools.deploy.wait_valkey", "--folder", folder, "--minutes", minutes]
    return subprocess.run(command, cwd=ROOT, env=environ, check=False, capture_output=True, text=True, timeout=50)


def put(ssm: Any, value: str) -> None:
    ssm.put_parameter(Name=NAME, Type="String", Value=value, Overwrite=True)


def test_a_ready_instance_ends_the_wait(aws_url: str, ssm: Any, tmp_path: Path) -> None:
    put(ssm, json.dumps({"instance": OURS, "state": "ready"}))

    ran = waited(aws_url, tmp_path, "1", {"valkey_wait_for": {"value": OUTPUT}})

    assert (ran.returncode, ran.stdout) == (0, "")
    assert OURS in ran.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "value",
    ["not yet written: make wait-valkey", json.dumps({"instance": EARLIER, "state": "ready"})],
    ids=["terraforms", "an earlier instance's"],
)
def test_what_this_instance_did_not_say_does_not_count(aws_url: str, ssm: Any, tmp_path: Path, value: str) -> None:
    put(ssm, value)

    ran = waited(aws_url, tmp_path, "0", {"valkey_wait_for": {"value": OUTPUT}})

    assert ran.returncode == 1
    for words in (OURS, NAME, "aws ssm start-session", "aws ec2 get-console-output", "cloud-init-output.log"):
        assert words in ran.stderr


def test_a_failed_boot_ends_the_wait_at_once_and_names_its_step(aws_url: str, ssm: Any, tmp_path: Path) -> None:
    put(ssm, json.dumps({"instance": OURS, "state": "failed", "step": "volume"}))

    ran = waited(aws_url, tmp_path, "15", {"valkey_wait_for": {"value": OUTPUT}})

    assert ran.returncode == 1
    assert "step volume" in ran.stderr
    assert "aws ssm start-session" in ran.stderr


@pytest.mark.parametrize("outputs", [{}, {"valkey_wait_for": {"value": {"instance": OURS}}}], ids=["none", "another"])
def test_a_folder_without_the_output_is_told_which_one_is_wanted(aws_url: str, tmp_path: Path, outputs: object) -> None:
    ran = waited(aws_url, tmp_path, "15", outputs)

    assert ran.returncode == 1
    assert 'output "valkey_wait_for" { value = module.valkey.wait_for }' in ran.stderr


def test_terraforms_own_error_is_shown(aws_url: str, tmp_path: Path) -> None:
    program = shutil.which("false")
    assert program is not None
    environ = {**os.environ, "TERRAFORM": program}  # noqa: TID251
    command = [sys.executable, "-m", "tools.deploy.wait_valkey", "--folder", tmp_path]
    ran = subprocess.run(command, cwd=ROOT, env=environ, check=False, capture_output=True, text=True)

    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
