"""Root filesystems with Debian, made by mmdebstrap and kept for a week: on one test a base image, on another a box."""

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.contract.repository import ROOT

SUITE = "trixie"
_KEPT_SECONDS = 7 * 86_400
_KEPT_IN = ROOT / ".local/box"
#: A network that inspects TLS has its authority in this file only.
_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
_NO_PAGES = ["doc", "man", "locale", "info"]


def archive(name: str, packages: Sequence[str], hooks: Sequence[str] = ()) -> Path:
    """A tar file of Debian with those packages; skips the test where none can be made.

    Args:
        hooks: shell commands that change it, in which ``$1`` is its folder.
    """
    if (program := shutil.which("mmdebstrap")) is None:
        pytest.skip("no mmdebstrap on PATH (Debian, Ubuntu: apt install mmdebstrap)")
    recipe = hashlib.sha256(repr((SUITE, *packages, *hooks)).encode()).hexdigest()[:12]
    made = _KEPT_IN / f"{name}-{recipe}.tar"
    if not made.exists() or time.time() - made.stat().st_mtime > _KEPT_SECONDS:
        _KEPT_IN.mkdir(parents=True, exist_ok=True)
        half = made.with_suffix(f".{os.getpid()}.tar")
        command = [program, "--quiet", "--variant=essential", f"--include={','.join(packages)}"]
        command += [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in _NO_PAGES]
        given = [*hooks, f'cp {_AUTHORITIES} "$1{_AUTHORITIES}"'] if Path(_AUTHORITIES).exists() else hooks
        command += [f"--customize-hook={hook}" for hook in given]
        ran = subprocess.run([*command, SUITE, half], check=False, capture_output=True, text=True, timeout=600)
        if ran.returncode != 0:
            half.unlink(missing_ok=True)
            pytest.skip(f"mmdebstrap could not make {name}: {ran.stderr.strip()[-300:]}")
        half.rename(made)
    return made
