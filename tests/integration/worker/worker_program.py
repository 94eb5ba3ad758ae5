"""``lambda-router-worker`` as a process with handlers of a test's own, and what it logs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.processes import clean_environment


@contextmanager
def worker_process(
    folder: Path, redis_url: str, *arguments: str, handlers: str = "", variables: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """The worker in that folder, with those handlers in the module ``my_handlers`` and those variables."""
    (folder / "my_handlers.py").write_text(handlers)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "lambda_router_worker", *arguments],
            cwd=folder,
            env=clean_environment(REDIS_URL=redis_url, **(variables or {})),
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(timeout=10)


def log_of(folder: Path) -> list[dict[str, Any]]:
    """What it logged, without its lines of metrics. Fails where it wrote anything but JSON lines."""
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return [line for line in lines if "_aws" not in line]
