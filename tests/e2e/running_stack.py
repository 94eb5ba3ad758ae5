"""A stack of ``make run``, and what a caller does with it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tools.local.cognito import LocalCognito
from tools.local.state import LocalState
from tools.stack.repository import ROOT

STARTED_WITHIN_SECONDS = 40


def run_tool(name: str, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """``python -m tools.<name>`` to its end, without the caller's PORT and the like."""
    return subprocess.run(
        [sys.executable, "-m", f"tools.{name}", *arguments],
        cwd=ROOT,
        env=clean_environ() | environ,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def clean_environ() -> dict[str, str]:
    environ = os.environ  # noqa: TID251  for children
    return {name: value for name, value in environ.items() if name not in {"PORT", "BACKEND", "MODEL", "AS"}}


@contextmanager
def starting_stack(port: int) -> "Iterator[subprocess.Popen[str]]":
    """A stack that may never get ready. Whatever a test finds, it does not wait for it for ever."""
    with begin_stack(port) as process:
        try:
            yield process
        finally:
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()


def begin_stack(port: int, options: Sequence[str] = (), **environ: str) -> "subprocess.Popen[str]":
    """What ``make run`` runs, with its output as one stream of lines."""
    return subprocess.Popen(
        [sys.executable, "-m", "tools.local", *options],
        cwd=ROOT,
        env=clean_environ() | {"PORT": str(port)} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@dataclass
class RunningStack:
    """A stack that says READY, or has said it."""

    port: int
    process: "subprocess.Popen[str]"
    said: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def facts(self) -> dict[str, Any]:
        facts = LocalState(self.port).published()
        assert facts is not None
        return facts

    @property
    def pids(self) -> dict[str, int]:
        return self.facts["pids"]

    def log(self, part: str) -> str:
        return LocalState(self.port).log(part).read_text()

    def token(self, user: str) -> str:
        """What ``make token AS=user`` prints, without the half second that a new process takes."""
        facts = self.facts
        return LocalCognito.of(facts).access_token(user)

    def caller(self, user: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token(user)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)

    def listen(self) -> None:
        """Keep what the stack says, line by line, as it says it."""
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.said.append(line)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + STARTED_WITHIN_SECONDS
        while f"READY {self.url}\n" not in self.said:
            assert self.process.poll() is None, "".join(self.said)
            assert time.monotonic() < deadline, "".join(self.said)
            time.sleep(0.05)

    def stop(self) -> int:
        """SIGTERM; the exit status. Nothing that the stack started may survive it."""
        pids = self.pids
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        assert not [name for name, pid in pids.items() if is_alive(pid)]
        return status


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended but was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def submit(caller: httpx.Client, prompt: str = "hello", **headers: str) -> httpx.Response:
    """Send the smallest legal job."""
    return caller.post("/v1/jobs", json={"type": "generate", "input": {"prompt": prompt}}, headers=headers)


def final(caller: httpx.Client, job_id: str) -> dict[str, Any]:
    """The job, once it is final."""
    job = caller.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=20"}).json()
    assert job["status"] in {"completed", "failed", "cancelled", "expired"}, json.dumps(job)
    return job
