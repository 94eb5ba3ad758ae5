"""The runtime as a process, started by the real wrapper script in a folder like Lambda's, with an app of the test's."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.contract.repository import ROOT
from tests.streaming.runtime_double import LONG, RuntimeDouble

#: What Lambda's own script hands to the wrapper.
RUNTIME = "/var/runtime/bootstrap.py"


def task_folder(folder: Path, app: str) -> Path:
    """What Lambda unpacks, with another ``app.py``."""
    for name, place in (("chalicelib", "chalicelib"), ("lambda_router_queue", "vendor/lambda_router_queue")):
        (folder / name).symlink_to(ROOT / place)
    (folder / "app.py").write_text(app)
    return folder


@contextmanager
def process(
    task: Path, double: RuntimeDouble, python: str = sys.executable, **variables: str
) -> Iterator["subprocess.Popen[str]"]:
    """The runtime's process, with nothing but what Lambda would give it. Killed at the end, unless it has ended."""
    with subprocess.Popen(
        [str(task / "chalicelib/streaming/wrapper"), python, RUNTIME],
        env=environ_of(task, double) | variables,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def environ_of(task: Path, double: RuntimeDouble) -> Mapping[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "_HANDLER": "app.app",
        "LAMBDA_TASK_ROOT": str(task),
        "LAMBDA_RUNTIME_DIR": str(task / "runtime"),
        "AWS_LAMBDA_RUNTIME_API": double.address,
        "AWS_LAMBDA_FUNCTION_NAME": "router-stream",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_REGION": "eu-central-1",
    }


def ended(running: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Status, standard output and standard error of a process that ends by itself."""
    out, err = running.communicate(timeout=LONG)
    return running.returncode, out, err
