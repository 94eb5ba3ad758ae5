"""``python -m tools.local``: the whole service on this machine, for ``make run``.

It consists of a Valkey that keeps its jobs in ``.local/<port>/``, a user pool that plays Cognito, the worker, and the
app.
With ``--chalice``, for ``make chalice-local``, the app runs under ``chalice local``. It then uses the services of
``make run`` if they are running.
"""

import os
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import click
import redis

from chalicelib import chalice_local
from chalicelib.jobs.job_types import JOB_TYPES, under
from chalicelib.settings import LOCAL_ENV_FILE, Settings, SettingsError
from tools.local import cognito as local_cognito
from tools.local import commands
from tools.local.children import ChildDied, Children
from tools.local.cognito import LocalCognito
from tools.local.commands import Model
from tools.local.pool.page_addresses import PageAddresses
from tools.local.ports import HOST, PortUnusable, free_ports, kept_port, port_option, require_free, taken
from tools.local.shell import Shell
from tools.local.shell import taken as taken_from_shell
from tools.local.state import AlreadyRunning, LocalState
from tools.local.worker import WorkerWatch
from tools.stack.signals import Stopped, remembered

#: Time for the worker to finish the jobs that it has started.
DRAIN_SECONDS = 10.0

_WELCOME = """\
READY {url}
{pages}
TOKEN=$(make -s token{port_option})
JOB=$(curl -sS {url}/v1/jobs -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
  -d '{{"type": "generate", "input": {{"prompt": "What is a queue?"}}}}' -w '\\n' | tee /dev/stderr \\
  | grep -o 'job_[0-9a-f]*')
curl -sS {url}/v1/jobs/$JOB -H "Authorization: Bearer $TOKEN" -H 'Prefer: wait=10' -w '\\n'

Another caller: make -s token AS=bob{port_option}
A worker of your own: export REDIS_URL={redis_url}
Logs: .local/{port}/*.log
Stop: Ctrl-C"""

_PAGES = """
In a browser: {url}/ to try it, {url}/docs for every route
"""

_DEMONSTRATION = """
The worker only returns prompts in capitals. With a model: BACKEND=http://…/v1 MODEL=… make run"""

# No proxy from the environment: everything here is on this machine's loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@click.command()
@port_option
@click.option(
    "--backend",
    envvar=["BACKEND", "WORKER_BACKEND"],
    help="OpenAI-compatible server, such as http://127.0.0.1:8080/v1.",
)
@click.option(
    "--model", envvar=["MODEL", "WORKER_MODEL"], help="The model's name on that server; several, separated by commas."
)
@click.option(
    "--chalice", is_flag=True, help="Serve the app with chalice local, and use the services of make run if it runs."
)
@click.option("--services-port", envvar="SERVICES_PORT", default=8000, help="With --chalice: the port of that stack.")
def main(port: int, backend: str | None, model: str | None, chalice: bool, services_port: int) -> None:
    """Run the whole service on 127.0.0.1 until Ctrl-C or SIGTERM.

    Without a model, the worker runs a demonstration handler.
    """
    if bool(backend) != bool(model):
        raise click.ClickException("set both BACKEND and MODEL, or neither for the demonstration")
    try:
        shell = Shell(os.environ, has_model=bool(model))
        _check_settings(commands.own_settings() if chalice else shell.app, ".env" if chalice else None)
        require_free(port)
        with remembered() as stopped, LocalState(port).locked() as lock:
            parts = (port, lock, stopped, shell)
            stack = ChaliceStack(*parts, services_port) if chalice else Stack(*parts)
            stack.run(commands.models(backend, model, shell.app.get("ROUTER_MODELS", "")))
    except AlreadyRunning:
        raise click.ClickException(str(taken(port, "stop the other stack of this folder"))) from None
    except (PortUnusable, ChildDied, SettingsError) as error:
        raise click.ClickException(str(error)) from None


class Stack:
    """The stack on one port."""

    def __init__(self, port: int, lock: int, stopped: Callable[[], bool], shell: Shell) -> None:
        self._port = port
        self._shell = shell
        self._url = f"http://{HOST}:{port}"
        self._addresses = (f"{self._url}/", f"http://localhost:{port}/")  # as people type them
        self._state = LocalState(port)
        self._children = Children(self._state, lock, stopped)
        self._environ = commands.environ()
        (self._valkey_port,) = free_ports(1)
        self._workers: dict[str, WorkerWatch] = {}
        self._redis_url = f"redis://{HOST}:{self._valkey_port}/0"
        self._app, self._app_settings = commands.app(port), commands.APP_DEFAULTS | shell.app

    def run(self, models: Sequence[Model]) -> None:
        """Start everything, and watch it until a signal asks to stop.

        Raises:
            ChildDied: a process ended by itself; the others are stopped too.
        """
        try:
            for line in self._shell.left_out():
                _say(line)
            self._start(models)
            _say(_welcome(self._url, self._port, self._redis_url, models))
            while True:
                self._check()
                for worker in self._workers.values():
                    for line in worker.news():
                        _say(line)
                time.sleep(0.2)
        except Stopped:
            pass
        finally:
            _say("stopping; the worker may finish the jobs that it has started …")
            self._state.retract()
            self._children.stop([*self._workers, "app"], DRAIN_SECONDS)
            self._children.stop(["cognito", "valkey"], DRAIN_SECONDS)

    def _check(self) -> None:
        """Raise ChildDied unless every process runs, and Stopped if the stack has to stop."""
        self._children.check()

    def _start(self, models: Sequence[Model]) -> None:
        _say("starting Valkey …")
        data = self._state.folder / "valkey"
        data.mkdir(exist_ok=True)
        self._children.start("valkey", commands.valkey(self._valkey_port), self._environ, folder=data)
        self._children.wait_until(self._valkey_answers, "Valkey")

        cognito = self._start_cognito()

        by_queue = {model.queue: model for model in reversed(models)}
        ports = free_ports(len(by_queue))
        for model, port in zip(by_queue.values(), ports, strict=True):
            self._start_worker(model, port)

        self._start_app(cognito, self._redis_url, models)
        for port in ports:
            self._wait_for(f"http://{HOST}:{port}/health")

    def _start_worker(self, model: Model, port: int) -> None:
        given = self._shell.worker
        works = f"{model.name} at {model.backend}" if model.backend else given.get("WORKER_HANDLER", "demonstration")
        name, said = ("worker", "the worker")
        if model.queue != commands.DEFAULT_QUEUE:
            name, said = f"worker-{model.queue}", f"the worker of {model.name}"
        _say(f"starting {said}: {works}{taken_from_shell(given)} …")
        settings = commands.worker_settings(model, self._redis_url) | given
        self._children.start(name, commands.worker(model, port), self._environ | settings)
        self._workers[name] = WorkerWatch(f"http://{HOST}:{port}/ready", said)

    def _start_app(self, cognito: LocalCognito, redis_url: str, models: Sequence[Model] = ()) -> None:
        _say(f"starting the app{taken_from_shell(self._shell.app)} …")
        settings = commands.app_settings(cognito, redis_url, models)
        self._children.start("app", self._app, self._environ | self._app_settings | settings)
        for address in (f"{self._url}/health", f"{self._url}/ready"):
            self._wait_for(address)
        state = {"redis_url": redis_url, "pids": self._children.pids, "models": settings.get("ROUTER_MODELS", "")}
        self._state.publish(asdict(cognito) | state)

    def _start_cognito(self) -> LocalCognito:
        _say("starting Cognito …")
        folder = self._state.folder / "pool"
        folder.mkdir(mode=0o700, exist_ok=True)
        PageAddresses(folder).set(*self._addresses)
        port, seed = kept_port(folder / "port"), f"port {self._port}"  # a client expects the same issuer tomorrow
        self._children.start("cognito", local_cognito.server_command(port, folder, seed), self._environ)
        cognito = LocalCognito.at(f"http://{HOST}:{port}", seed)
        self._children.wait_until(lambda: local_cognito.is_up(cognito), "Cognito")
        return cognito

    def _wait_for(self, address: str) -> None:
        self._children.wait_until(lambda: _answers(address), address)

    def _valkey_answers(self) -> bool:
        with redis.Redis.from_url(self._redis_url, socket_timeout=1.0) as client, suppress(redis.RedisError):
            return bool(client.ping())
        return False  # not up yet, or still loading its jobs


class ChaliceStack(Stack):
    """The app under ``chalice local``, with the pool, Redis and worker of a running ``make run``, or else its own."""

    def __init__(self, port: int, lock: int, stopped: Callable[[], bool], shell: Shell, services_port: int) -> None:
        super().__init__(port, lock, stopped, shell)
        self._app, self._app_settings = commands.chalice_local(port), commands.own_settings()
        self._services_port = services_port
        self._services: dict[str, Any] | None = None

    def _start(self, models: Sequence[Model]) -> None:
        services = None if self._services_port == self._port else LocalState(self._services_port).published()
        if services is None or not local_cognito.is_up(LocalCognito.of(services)):
            super()._start(models)
            return
        self._services = services
        _say(f"using the services of `make run` on port {self._services_port} …")
        self._redis_url = services["redis_url"]
        PageAddresses(LocalState(self._services_port).folder / "pool").add(*self._addresses)
        self._start_app(LocalCognito.of(services), self._redis_url, commands.models(None, None, services["models"]))

    def _check(self) -> None:
        super()._check()
        if self._services is not None and LocalState(self._services_port).published() != self._services:
            raise ChildDied(f"the stack on port {self._services_port} ended, and this one used its services")


def _check_settings(given: dict[str, str], env_file: str | None) -> None:
    """Raise SettingsError for invalid settings in the caller's shell or that file, before anything is started."""
    nobody = LocalCognito.at(f"http://{HOST}:1", "nobody")
    settings: Mapping[str, str] = given | commands.app_settings(nobody, f"redis://{HOST}:1/0")
    if env_file:
        settings = chalice_local.with_env_file({**settings, LOCAL_ENV_FILE: env_file})
    under(Settings.from_environ(settings), JOB_TYPES)


def _welcome(url: str, port: int, redis_url: str, models: Sequence[Model]) -> str:
    """Return the line that says that everything is up, and commands to copy."""
    option = "" if port == 8000 else f" PORT={port}"
    is_demonstration = any(model.backend is None for model in models)
    pages = _PAGES.format(url=url) if _answers(f"{url}/") else ""  # unless ROUTER_DOCS is false
    welcome = _WELCOME.format(url=url, port=port, port_option=option, redis_url=redis_url, pages=pages)
    return welcome + (_DEMONSTRATION if is_demonstration else "")


def _answers(url: str) -> bool:
    with suppress(OSError), _opener.open(url, timeout=5.0) as response:
        return bool(response.status == 200)
    return False


def _say(text: str) -> None:
    with suppress(OSError):  # a closed terminal must not keep the children alive
        print(text, flush=True)


if __name__ == "__main__":
    main()
