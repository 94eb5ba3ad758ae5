"""The package as it is deployed: built once per session, and run as Lambda runs it."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from compileall import compile_dir
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.deploy.cloud.runtime_api import RuntimeApi
from tools.package import pages
from tools.package.__main__ import build_zip
from tools.package.chalice import chalice_package
from tools.package.source import copy_source
from tools.package.writer import unpack
from tools.stack.repository import ZIP

#: What ``built`` says it is, whatever the checkout's history.
BUILD = "0.1.0+g0123456789ab"
#: What Lambda's own Python has, beside the standard library.
LAMBDA_HAS = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
RUNTIME_CLIENT = ("awslambdaric", "runtime_client", "snapshot_restore_py", "simplejson")

_BOOTSTRAP = """
import sys
sys.path[:0], sys.path[len(sys.path):] = [sys.argv[1]], [sys.argv[2]]  # /var/task first, the runtime last
from awslambdaric.__main__ import main
main(["", "app.app"])
"""


@dataclass(frozen=True)
class Package:
    """A built package: Chalice's own zip and document, ours unpacked, and the folder of ours."""

    document: dict[str, Any]
    original: Path
    zip: Path
    task: Path


_folders: list[tempfile.TemporaryDirectory[str]] = []


@cache
def built(*, has_pages: bool = False) -> Package:
    """The package of this checkout. Its folder goes when the process ends."""
    _folders.append(tempfile.TemporaryDirectory())
    work = Path(_folders[-1].name)
    copy_source(work / "source", "terraform", None)
    pages.choose(work / "source", "terraform", is_on=has_pages)
    document = chalice_package(work / "source", "terraform", work / "chalice")
    original = work / "chalice" / ZIP
    build_zip(original, document, BUILD, work)
    unpack(work / ZIP, work / "unpacked")
    for path in (work / "unpacked").rglob("*"):
        path.chmod(0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444)
    return Package(document, original, work / ZIP, work / "unpacked")


def zip_named(build: str, work: Path) -> Path:
    """The zip of this checkout as another build, made in that folder."""
    copy_source(work / "source", "terraform", None)
    build_zip(built().original, built().document, build, work)
    return work / ZIP


@cache
def lambda_python() -> Path:
    """A folder that plays what Lambda's runtime brings, of links. It has bytecode there, as pip leaves it."""
    _folders.append(tempfile.TemporaryDirectory())
    folder = Path(_folders[-1].name)
    for name in (*LAMBDA_HAS, *RUNTIME_CLIENT):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        place = Path(spec.origin)
        target = place.parent if place.name == "__init__.py" else place
        (folder / target.name).symlink_to(target)
        if target.is_dir():
            compile_dir(target, maxlevels=0, quiet=1)
    return folder


@contextmanager
def running(task: Path, settings: Mapping[str, str], python: Path | None = None) -> Iterator[RuntimeApi]:
    """The function at work in a process of its own, with nothing but what Lambda would give it.

    Args:
        task: the unpacked package.
        settings: the function's variables.
        python: the folder of what the runtime brings, where it is to bring more than Lambda's does.
    """
    with RuntimeApi() as api:
        environ = {
            "PATH": os.defpath,
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "lambda-router-test",
            "AWS_LAMBDA_FUNCTION_VERSION": "7",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_REGION": "eu-central-1",
            "LAMBDA_TASK_ROOT": str(task),
        }
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, str(task), str(python or lambda_python())],
            cwd=task,
            env=environ | dict(settings),
        )
        try:
            yield api
        finally:
            process.kill()
            process.wait()
