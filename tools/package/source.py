"""A clean copy of what ships, so that nothing untracked, generated or cached can get into the package."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tools.stack.refusal import Refusal
from tools.stack.repository import ROOT

#: What ``chalice package`` reads.
SHIPPED = ("app.py", "chalicelib", "requirements.txt", ".chalice/config.json", ".chalice/policy-dev.json")
CONFIG = ".chalice/config.json"
ARCHITECTURES = ("x86_64", "arm64")


def copy_source(target: Path, stage: str, architecture: str | None, root: Path = ROOT) -> None:
    """Copy the tracked files, as they lie in the folder, and set the stage's architecture where one is asked for.

    Raises:
        Refusal: a file in ``chalicelib`` is not tracked, or stage or architecture does not exist.
    """
    if strays := _listed(root, "--others", "--exclude-standard"):
        raise Refusal(f"{strays[0]} is not tracked, so it would be missing in the package: git add it or remove it")
    for name in _listed(root, "--cached"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target / name)
    config = json.loads((target / CONFIG).read_text())
    _choose(config, stage, architecture)
    (target / CONFIG).write_text(json.dumps(config))


def _listed(root: Path, *options: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *options, "--", *SHIPPED], cwd=root, check=True, capture_output=True, text=True
    ).stdout
    return [name for name in listed.split("\0") if name and (root / name).is_file()]


def _choose(config: dict[str, Any], stage: str, architecture: str | None) -> None:
    # Chalice takes an unknown stage for a new one, with default settings.
    if stage not in config["stages"]:
        raise Refusal(f"stage {stage!r} is not in {CONFIG}: choose one of {', '.join(config['stages'])}")
    if architecture is None:
        return
    if architecture not in ARCHITECTURES:
        raise Refusal(f"architecture {architecture!r} is none of Lambda's: choose {' or '.join(ARCHITECTURES)}")
    config["stages"][stage]["lambda_architecture"] = architecture
