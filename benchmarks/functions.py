"""The compared functions: this project's zip, Chalice's plain zip of the same commit, and the rivals'.

A rival is packaged plainly: its ``app.py`` beside the same versions of the same libraries, as pip unpacks them, without
bytecode. FastAPI and Mangum come from ``.venv-bench``; without it that rival is skipped.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from chalicelib import jobs
from lambda_router_queue.lua_scripts import load_script
from tests.conftest import CLIENT_ID, ISSUER, KID, POOL, SCOPE, gateway_event, public_jwk
from tests.deploy.cloud.runtime_api import RuntimeApi
from tests.deploy.kit.artefact import built, lambda_python
from tools.package.writer import unpack

HERE = Path(__file__).parent
BENCH_PACKAGES = HERE.parent / ".venv-bench/lib/python3.13/site-packages"
#: Packages that FastAPI and Mangum need beyond those of the plain package.
FASTAPI_NEEDS = ("fastapi", "starlette", "mangum", "anyio", "idna", "annotated_doc", "opentelemetry")

OURS, PLAIN = "this project", "plain chalice package"
FASTAPI, POWERTOOLS, BARE, FLOOR = "FastAPI + Mangum", "Powertools event handler", "bare handler", "floor"
_APPS = {FASTAPI: "fastapi", POWERTOOLS: "powertools", BARE: "bare", FLOOR: "floor"}

_folders: list[tempfile.TemporaryDirectory[str]] = []
_signing_key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
JOB: dict[str, Any] = {"type": "generate", "input": {"prompt": "Why is the sky blue? " * 45}}

_BOOTSTRAP = """
import sys
sys.path[:0], sys.path[len(sys.path):] = [sys.argv[1]], [sys.argv[2]]  # /var/task first, the runtime last
from awslambdaric.__main__ import main
main(["", "app.app"])
"""


def have_rivals() -> bool:
    return (BENCH_PACKAGES / "fastapi").is_dir()


def names(*, floor: bool = False) -> list[str]:
    """Return the names of the functions to compare, ours first."""
    there = [OURS, PLAIN, *([FASTAPI] if have_rivals() else []), POWERTOOLS, BARE]
    return [*there, FLOOR] if floor else there


@cache
def folder(name: str) -> Path:
    """Return the folder that holds the function unpacked; nothing is ever compiled into it."""
    if name == OURS:
        return built().task
    _folders.append(tempfile.TemporaryDirectory())
    place = Path(_folders[-1].name)
    if name == PLAIN:
        unpack(built().original, place)
        return place
    for package in folder(PLAIN).iterdir():
        if package.name not in {"app.py", "chalicelib", "lambda_router_queue", "chalice"}:
            (place / package.name).symlink_to(package)
    for pattern in FASTAPI_NEEDS if name == FASTAPI else ():
        # With their metadata, in which OpenTelemetry looks for plugins.
        for package in (
            *BENCH_PACKAGES.glob(pattern),
            *BENCH_PACKAGES.glob(f"{pattern}_*"),
            *BENCH_PACKAGES.glob(f"{pattern}-*"),
        ):
            shutil.copytree(
                package, place / package.name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
            )
    shutil.copyfile(HERE / f"rival_apps/{_APPS[name]}.py", place / "app.py")
    shutil.copyfile(HERE / "rival_work.py", place / "rival_work.py")
    for script, before in (("admit", ["tries"]), ("settle", [])):
        (place / f"{script}.lua").write_text(load_script(script, *before, folder=jobs.LUA).text)
    return place


def environ(redis_url: str) -> dict[str, str]:
    """Return the environment of a function, with limits that no run reaches."""
    return {
        "PATH": os.defpath,
        "AWS_LAMBDA_FUNCTION_NAME": "benchmark",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_REGION": "eu-central-1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "COGNITO_USER_POOL_ID": POOL,
        "COGNITO_AUD": CLIENT_ID,
        "COGNITO_REGION": "eu-central-1",
        "COGNITO_JWKS": json.dumps({"keys": [public_jwk(_signing_key)]}),
        "REDIS_URL": redis_url,
        "ROUTER_RATE_PER_MINUTE": "100000",
        "ROUTER_RATE_BURST": "100000",
        "ROUTER_OPEN_JOBS_CAP": "1000000",
        "ROUTER_QUEUE_CAP": "10000000",
    }


def token(sub: str = "alice") -> str:
    now = int(time.time())
    claims = {"sub": sub, "iss": ISSUER, "client_id": CLIENT_ID, "token_use": "access", "scope": SCOPE}
    times = {"iat": now, "exp": now + 7_200, "jti": str(uuid.uuid4())}
    return jwt.encode(claims | times, _signing_key, algorithm="RS256", headers={"kid": KID})


def health() -> dict[str, Any]:
    return gateway_event("GET", "/health", None, {})


def post(bearer: str) -> dict[str, Any]:
    """Return API Gateway's event for a job of 1 kB."""
    event = gateway_event("POST", "/v1/jobs", None, _headers(bearer))
    return event | {"body": json.dumps(JOB), "isBase64Encoded": False}


def respond(bearer: str) -> dict[str, Any]:
    """Return API Gateway's event for a background response to the same prompt."""
    event = gateway_event("POST", "/v1/responses", None, _headers(bearer))
    body = {"model": "tinyllama", "input": JOB["input"]["prompt"], "background": True}
    return event | {"body": json.dumps(body), "isBase64Encoded": False}


def poll(bearer: str, job_id: str) -> dict[str, Any]:
    return gateway_event("GET", f"/v1/jobs/{job_id}", None, _headers(bearer))


def _headers(bearer: str) -> dict[str, str | list[str]]:
    return {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json", "Accept": "*/*"}


@contextmanager
def started(task: Path, redis_url: str) -> Iterator[tuple[RuntimeApi, "subprocess.Popen[bytes]"]]:
    """Run the function of a folder in Lambda's own runtime client, from the start of its process."""
    with RuntimeApi() as api:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", _BOOTSTRAP, str(task), str(lambda_python())],
            cwd=task,
            env=environ(redis_url) | {"AWS_LAMBDA_RUNTIME_API": api.address, "LAMBDA_TASK_ROOT": str(task)},
            stdout=subprocess.DEVNULL,
        )
        try:
            yield api, process
        finally:
            process.kill()
            process.wait()


class Loop:
    """A function in a process of its own that answers events on request and reports what each cost."""

    def __init__(self, name: str, redis_url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(HERE / "handler_loop.py"), str(folder(name)), str(lambda_python())],
            env=environ(redis_url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the ``cpu`` and ``wall`` seconds of each event, and the last ``answer``."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(events) + "\n")
        stdin.flush()
        said: dict[str, Any] = json.loads(stdout.readline())
        return said

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()
