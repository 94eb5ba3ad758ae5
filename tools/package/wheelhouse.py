"""The locked wheels, fetched and checked by hash before Chalice sees them.

For another processor or another glibc than the builder's, Chalice fetches wheels by name and version alone. So the
hashes of ``requirements.txt`` would protect only the builder's own platform. Chalice gets this folder instead of an
index.
"""

import platform
import subprocess
import sys
from pathlib import Path

from tools.stack.refusal import Refusal

#: The glibc of Lambda's Amazon Linux 2023, and the oldest in wheel names. pip must be given every version in between.
_NEWEST_GLIBC, _OLDEST_GLIBC = 34, 5
_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}


def fetch_wheels(requirements: Path, architecture: str, folder: Path) -> dict[str, str]:
    """Fill the folder; return the variables that make pip take packages only from there.

    Raises:
        Refusal: a package has no wheel for Lambda, or its hash differs from the locked one.
    """
    machine = _MACHINES[architecture]
    names = [f"manylinux_2_{minor}_{machine}" for minor in range(_NEWEST_GLIBC, _OLDEST_GLIBC - 1, -1)]
    platforms = [part for name in (*names, f"manylinux2014_{machine}") for part in ("--platform", name)]
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    abis = [part for name in (f"cp{version}", "abi3", "none") for part in ("--abi", name)]
    _download(requirements, folder, "--implementation", "cp", "--python-version", version, *abis, *platforms)
    if (sys.platform, platform.machine()) != ("linux", machine):
        _download(requirements, folder)  # Chalice first looks for the builder's own, and fails without
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}


def _download(requirements: Path, folder: Path, *target: str) -> None:
    options = ["--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    ran = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, *target, "-r", str(requirements)],
        check=False,
        capture_output=True,
        text=True,
    )
    refuse_download(ran.returncode, ran.stderr)


def refuse_download(status: int, stderr: str) -> None:
    """Raise Refusal with pip's error if pip failed."""
    if status == 0:
        return
    faults = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    fault = faults[-1] if faults else stderr.strip()
    raise Refusal(
        f"pip could not fetch the locked wheels for Lambda: {fault}: if there is no wheel, choose a version in"
        " requirements/function.in that has one, then make lock; if the hash differs, check the index in pip's settings"
    )
