"""The app as ``make run`` serves it, and workers, each a process that a program may kill, as it may kill Redis."""

import json
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.conftest import CLIENT_ID, ISSUER, KID, POOL, SCOPE, public_jwk
from tests.integration.processes import ROOT, clean_environment
from tests.patience import eventually
from tests.servers import free_port

type Process = "subprocess.Popen[bytes]"

_STARTED_WITHIN_SECONDS = 30.0
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Parts:
    """An app, and any number of workers at one model server.

    Args:
        folder: for the logs.
        shared: variables of all of them.
        settings: of the app.
    """

    def __init__(
        self,
        redis_url: str,
        backend: str,
        model: str,
        folder: Path,
        shared: Mapping[str, str] = MappingProxyType({}),
        **settings: str,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._shared = {"REDIS_URL": redis_url} | shared
        self._model_options = ["--backend", backend, "--model", model]
        self._folder = folder
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        self._settings = {"ROUTER_MODELS": f"{model}=tinyllama"} | settings
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Parts":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def start_app(self) -> Process:
        """Serve the app, at the same port each time."""
        settings = {
            "COGNITO_USER_POOL_ID": POOL,
            "COGNITO_AUD": CLIENT_ID,
            "COGNITO_REGION": "eu-central-1",
            "COGNITO_JWKS": json.dumps({"keys": [public_jwk(self._key)]}),
        }
        command = ["-m", "tools.local.server", "--port", str(self.port)]
        process = self._start("app", command, **settings, **self._settings)
        return _when_up(process, f"{self.url}/health")

    def start_worker(self, *options: str) -> Process:
        """Start one more worker; returns when it can take jobs."""
        port = str(free_port())
        command = ["-m", "lambda_router_worker", *self._model_options, "--health-port", port, *options]
        process = self._start("worker", command)
        return _when_up(process, f"http://127.0.0.1:{port}/ready")

    def token(self, user: str) -> str:
        now = int(time.time())
        claims = {"sub": user, "iss": ISSUER, "client_id": CLIENT_ID, "token_use": "access", "scope": SCOPE}
        times = {"iat": now, "exp": now + 7_200, "jti": str(uuid.uuid4())}
        return jwt.encode(claims | times, self._key, algorithm="RS256", headers={"kid": KID})

    def _start(self, name: str, command: list[str], **variables: str) -> Process:
        with (self._folder / f"{name}-{len(self._processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=clean_environment(**self._shared, **variables),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process


def _when_up(process: Process, address: str) -> Process:
    """Return the process once it answers 200 there."""
    if not eventually(lambda: process.poll() is not None or is_up(address), _STARTED_WITHIN_SECONDS):
        raise TimeoutError(f"no answer from {address}")
    if process.poll() is not None:
        raise RuntimeError(f"{process.args!r} ended with status {process.returncode}")
    return process


def is_up(address: str) -> Any:
    """Whether that address answers 200."""
    with suppress(OSError), _opener.open(address, timeout=2) as reply:
        return reply.status == 200
    return False
