"""What stands beside moto while the complete example is walked: hosts with TLS, the instance's first boot, programs."""

import base64
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.contract.repository import ROOT
from tests.deploy.cloud.front_door import FrontDoor
from tests.deploy.cloud.inventory import client
from tests.http_server import serving
from tests.tls import terminating_proxy, write_certificate
from tools.local.gateway import HttpRequest
from tools.local.problems import Answer


@dataclass
class Names:
    """The hosts of API Gateway and of the pool's login pages, by one HTTP server; the API's own paths go to the door.

    Attributes:
        token_host: where clients get their tokens.
        secret_of: the secret of a client, as the pool has it.
        token_for: the access token that a client gets.
    """

    door: FrontDoor
    token_host: str
    secret_of: Callable[[str], str]
    token_for: Callable[[str], str]

    def answer(self, request: HttpRequest) -> Answer:
        headers = {name.lower(): value for name, value in request.headers}
        if headers.get("host") != self.token_host:
            return self.door.answer(request)
        name, _, secret = base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode().partition(":")
        if secret != self.secret_of(name) or request.body != b"grant_type=client_credentials":
            return Answer(400, [("Content-Type", "application/json")], b'{"error":"invalid_client"}')
        told = {"access_token": self.token_for(name), "expires_in": 3600, "token_type": "Bearer"}
        return Answer(200, [("Content-Type", "application/json")], json.dumps(told, separators=(",", ":")).encode())


@contextmanager
def reachable(folder: Path, names: Names, *hosts: str) -> Iterator[dict[str, str]]:
    """Variables with which curl reaches these hosts by TLS, and trusts them."""
    folder.mkdir()
    with ExitStack() as stack:
        port = stack.enter_context(serving(names))
        certificate, key = write_certificate(folder, *hosts)
        tls = stack.enter_context(terminating_proxy(("127.0.0.1", port), certificate, key))
        (folder / ".curlrc").write_text(f'connect-to = "::127.0.0.1:{tls}"\ncacert = "{certificate}"\n')
        yield {"CURL_HOME": str(folder)}


def first_boot(aws_url: str, outputs: dict[str, Any], redis_url: str, authority: str) -> None:
    """What terraform/modules/valkey's instance publishes; tests/box runs what makes it."""
    wait_for = outputs["valkey_wait_for"]
    prefix = wait_for["parameter"].rpartition("/")[0]
    ssm = client("ssm", aws_url)
    ready = json.dumps({"instance": wait_for["instance_id"], "state": "ready"})
    values = {
        "redis-authority": authority, "redis-url": redis_url, "worker-redis-url": redis_url, "valkey-ready": ready
    }  # fmt: skip
    for name, value in values.items():
        kind = ssm.get_parameter(Name=f"{prefix}/{name}")["Parameter"]["Type"]
        ssm.put_parameter(Name=f"{prefix}/{name}", Type=kind, Value=value, Overwrite=True)


def programs(folder: Path, *installs: str) -> Path:
    """A folder for PATH: make, which installs nothing, and the worker of this checkout as an installed command."""
    folder.mkdir()
    path = f"{ROOT}{os.pathsep}{ROOT / 'vendor'}"
    kept = " ".join(f"-o {target}" for target in installs)
    for name, line in {
        "make": f'exec /usr/bin/make {kept} "$@"',
        "lambda-router-worker": f'PYTHONPATH="{path}" exec {shlex.quote(sys.executable)} -m lambda_router_worker "$@"',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    return folder
