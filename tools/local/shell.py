"""The part of the caller's shell that the local stack uses: settings of the function, and the worker's options."""

from collections.abc import Iterator, Mapping

import click

from chalicelib.settings import OWN_PREFIXES, Settings
from lambda_router_worker.cli import main as worker_command

#: Prefixes of the settings that locate the stack's own pool, Redis and health check.
_PLACES = ("COGNITO_", "REDIS_URL", "WORKER_HEALTH_")
#: Settings that the stack's parts share. Nothing here can open what a KMS key has sealed.
_SHARED = frozenset({"ROUTER_KMS_KEY_ID", "ROUTER_QUEUE", "ROUTER_SCOPE", "WORKER_KMS_KEY_ID", "WORKER_QUEUE"})

#: Settings that say what ``MODEL`` says.
_OF_MODELS = frozenset({"ROUTER_MODELS", "WORKER_HANDLER"})


def is_set_here(name: str) -> bool:
    """Return whether the stack sets this variable itself, regardless of the shell."""
    return name.startswith(_PLACES) or name in _SHARED


class Shell:
    """The variables of the caller's shell that belong to this service.

    Args:
        has_model: whether models process the jobs, instead of a handler. The stack then lists them itself.
    """

    def __init__(self, environ: Mapping[str, str], *, has_model: bool) -> None:
        ours = {name: value for name, value in environ.items() if name.startswith((*OWN_PREFIXES, "WORKER_")) and value}
        self._set_here = {name for name in ours if is_set_here(name) or (has_model and name in _OF_MODELS)}
        free = {name: value for name, value in ours.items() if name not in self._set_here}
        self.app = {name: value for name, value in free.items() if name in Settings.names()}
        self.worker = {name: value for name, value in free.items() if name in worker_variables()}
        self._unknown = free.keys() - self.app.keys() - self.worker.keys()

    def left_out(self) -> Iterator[str]:
        """Yield a line for each reason why variables are ignored, with names but no values."""
        if self._set_here:
            yield f"ignoring variables of your shell that this stack sets itself: {', '.join(sorted(self._set_here))}"
        if self._unknown:
            yield f"ignoring variables of your shell that are not settings: {', '.join(sorted(self._unknown))}"


def worker_variables() -> set[str]:
    """Return the variables from which a worker reads its options, except those of secrets."""
    options = [option for option in worker_command.params if isinstance(option, click.Option)]
    return {str(option.envvar) for option in options if str(option.envvar).startswith((*OWN_PREFIXES, "WORKER_"))}


def taken(names: Mapping[str, str]) -> str:
    """Return ``(with ROUTER_X, ROUTER_Y of your shell)``, or an empty string."""
    return f" (with {', '.join(sorted(names))} of your shell)" if names else ""
