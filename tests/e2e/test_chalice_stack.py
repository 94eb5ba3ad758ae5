"""``make chalice-local`` as a person uses it, in a clone: its own services, then beside another stack."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from tests.deploy.kit.clone import Clone
from tests.e2e.running_stack import STARTED_WITHIN_SECONDS, clean_environ, final, is_alive, submit
from tests.log_secrets import remember_secret
from tests.patience import eventually
from tools.local import __main__ as local_stack
from tools.local.ports import free_ports


@dataclass
class Made:
    """A target of make that runs in a clone; what it starts is a process group, as in a terminal."""

    clone: Clone
    port: int
    process: "subprocess.Popen[str]"
    said: list[str] = field(default_factory=list)

    @property
    def pids(self) -> dict[str, int]:
        facts: dict[str, Any] = json.loads((self.clone.root / f".local/{self.port}/stack.json").read_text())
        pids: dict[str, int] = facts["pids"]
        return pids

    def text(self) -> str:
        return "".join(self.said)

    def listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.said.append(line)

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.text()
        return f"READY http://127.0.0.1:{self.port}\n" in self.said

    def caller(self, user: str) -> httpx.Client:
        token = self.clone.make("token", f"PORT={self.port}", f"AS={user}").out.strip()
        remember_secret(token)
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=30, trust_env=False)

    def ctrl_c(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)


@contextmanager
def made(clone: Clone, **variables: str) -> Iterator[Made]:
    (port,) = free_ports(1)
    process = subprocess.Popen(
        ["make", "-s", "-o", "install", "chalice-local", f"PORT={port}"],
        cwd=clone.root,
        env=clean_environ() | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    running = Made(clone, port, process)
    reader = threading.Thread(target=running.listen, daemon=True)
    reader.start()
    try:
        assert eventually(running.is_ready, STARTED_WITHIN_SECONDS), running.text()
        yield running
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        reader.join(10)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone.into(tmp_path_factory.mktemp("clones") / "a path with a space")


@pytest.fixture(scope="module")
def alone(clone: Clone) -> Iterator[Made]:
    """No worker takes another queue than the stack's, and no local key service opens a sealed job."""
    with made(clone, SERVICES_PORT="1", ROUTER_QUEUE="elsewhere", ROUTER_KMS_KEY_ID="alias/none") as running:
        yield running


def test_alone_in_a_path_with_a_space_a_job_gets_its_result(alone: Made) -> None:
    assert list(alone.pids) == ["valkey", "cognito", "worker", "app"]
    with alone.caller("ada") as ada:
        assert final(ada, submit(ada, "alone").json()["id"])["result"]["text"] == "ALONE"


def test_ctrl_c_beside_another_stack_ends_only_what_it_began(alone: Made) -> None:
    with made(alone.clone, SERVICES_PORT=str(alone.port)) as beside:
        pids = beside.pids
        with beside.caller("bea") as bea:
            assert final(bea, submit(bea, "beside").json()["id"])["result"]["text"] == "BESIDE"
        beside.ctrl_c()
        beside.process.wait(30)
    assert list(pids) == ["app"]
    assert not any(map(is_alive, pids.values()))
    assert all(map(is_alive, alone.pids.values()))


def test_ctrl_c_ends_everything_and_what_used_it_ends_and_says_why(alone: Made) -> None:
    with made(alone.clone, SERVICES_PORT=str(alone.port)) as beside:
        pids = alone.pids | {"beside": beside.pids["app"]}
        alone.ctrl_c()
        alone.process.wait(30)
        assert beside.process.wait(30) != 0
    assert f"the stack on port {alone.port} ended" in beside.text()
    assert not any(map(is_alive, pids.values()))


@pytest.mark.parametrize("options", [[], ["--chalice"]], ids=["make run", "make chalice-local"])
def test_a_setting_that_is_wrong_is_named_before_anything_starts(options: list[str]) -> None:
    finished = CliRunner().invoke(local_stack.main, options, env={"ROUTER_RATE_BURST": "many"})

    assert (finished.exit_code, finished.stdout) == (1, "")
    assert "ROUTER_RATE_BURST: found 'many'" in finished.stderr


def test_a_token_for_a_port_that_nothing_has_names_both_ways_to_start_it() -> None:
    (port,) = free_ports(1)
    ran = subprocess.run(
        [sys.executable, "-m", "tools.local.token", "--port", str(port)], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 1
    assert "make chalice-local" in ran.stderr
