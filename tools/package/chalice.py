"""``chalice package`` in a folder of its own, and the faults that it prints without failing."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chalicelib.settings import OWN_PREFIXES
from tools.package.source import ARCHITECTURES, CONFIG
from tools.package.wheelhouse import fetch_wheels
from tools.package.wheels import locked
from tools.stack.refusal import Refusal

#: Chalice's words for a package that it omits, with exit status 0.
_MISSING = "Could not install dependencies"
_AFTER_MISSING = "You will have to build"
#: Libraries below Chalice's calls to AWS, and above its commands. Their frames fill the end of every traceback.
_LIBRARIES = ("/botocore/", "/urllib3/", "/click/", "/http/", "/socket.py")
_LINES = 40
#: Chalice's main() returns the exit status.
RUN_CHALICE = "import sys; from chalice.cli import main; sys.exit(main())"
#: Chalice needs a region, though nothing in the package of a REST API depends on it.
_ANY_REGION = "us-east-1"


def chalice_package(source: Path, stage: str, out: Path) -> dict[str, Any]:
    """Write ``deployment.zip`` into the folder and return Chalice's Terraform document.

    Raises:
        Refusal: a locked wheel is not available, or Chalice failed or omitted a package.
    """
    wheels = locked_wheels(source, stage, out.with_name("wheels"))
    ran = subprocess.run(
        [sys.executable, "-c", RUN_CHALICE, "package", "--stage", stage, "--pkg-format", "terraform", str(out)],
        cwd=source,
        env=environment(os.environ) | wheels,
        check=False,
        capture_output=True,
        text=True,
    )
    refuse_output(ran.returncode, ran.stdout + ran.stderr)
    document: dict[str, Any] = json.loads((out / "chalice.tf.json").read_text())
    return document


def locked_wheels(source: Path, stage: str, folder: Path) -> dict[str, str]:
    """Fetch the wheels for the stage's processor; return the variables that make Chalice use them."""
    requirements, config = source / "requirements.txt", json.loads((source / CONFIG).read_text())
    if not locked(requirements.read_text()):
        return {}
    key = "lambda_architecture"
    architecture = config["stages"][stage].get(key, config.get(key, ARCHITECTURES[0]))
    return fetch_wheels(requirements, architecture, folder)


def environment(shell: Mapping[str, str], dropped: tuple[str, ...] = ("AWS_PROFILE",)) -> dict[str, str]:
    """Return the shell's variables, without those that would affect the package or require an AWS profile."""
    ours = {name: value for name, value in shell.items() if not name.startswith((*OWN_PREFIXES, *dropped))}
    region = shell.get("AWS_DEFAULT_REGION") or shell.get("AWS_REGION") or _ANY_REGION
    return ours | {"AWS_DEFAULT_REGION": region, "PYTHONDONTWRITEBYTECODE": "1"}


def refuse_output(status: int, output: str) -> None:
    """Raise Refusal if Chalice failed or omitted a package."""
    if _MISSING in output:
        missing = ", ".join(output.split(_MISSING, 1)[1].split(_AFTER_MISSING, 1)[0].strip(":\n").split())
        raise Refusal(
            f"no wheel for Lambda's Python, architecture and glibc for {missing}: choose a version in"
            " requirements/function.in that has a manylinux wheel for it, then make lock"
        )
    if status != 0:
        raise Refusal(f"chalice exited with status {status}: fix the error in its last lines\n{shortened(output)}")


def shortened(output: str) -> str:
    """Return the last lines; a traceback keeps only Chalice's frames, the call that they made, and the error."""
    return "\n".join(list(_kept(output.strip().splitlines()))[-_LINES:])


def _kept(lines: list[str]) -> Iterator[str]:
    dropped = False
    for line in lines:
        if line.startswith('  File "'):
            dropped = any(library in line for library in _LIBRARIES)
        elif not line.startswith("    "):  # code and its markers are indented more than messages
            dropped = False
        if not dropped and line.strip(" ~^"):
            yield line
