"""Options that the commands share. Each can also be set by an environment variable."""

import re
from collections.abc import Callable
from typing import Any

import click

from lambda_router_queue.queue_keys import QUEUE_PATTERN

type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def option(name: str, **settings: Any) -> Decorator:
    """An option that ``WORKER_<NAME>`` also sets. Its help shows the variable and the default."""
    variable = "WORKER_" + name.strip("-").replace("-", "_").upper()
    shown: dict[str, Any] = {"envvar": variable, "show_envvar": True, "show_default": True}
    return click.option(name, **(shown | settings))


class EnvironmentOnly(click.Option):
    """An option that only its environment variable sets, because process lists show command lines."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Do nothing: the command line does not accept this option."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:  # noqa: ARG002 (click calls it so)
        return f"{self.envvar} (variable)", self.help or ""


def variable(name: str, **settings: Any) -> Decorator:
    """A secret that only the environment variable ``name`` sets."""
    return click.option("--" + name.lower().replace("_", "-"), cls=EnvironmentOnly, envvar=name, **settings)


class Matching(click.ParamType[str]):
    """A parameter type for text that must match a pattern.

    Args:
        example: a valid value, for the error message.
    """

    def __init__(self, pattern: str, example: str) -> None:
        self.name = "name"
        self._pattern = pattern
        self._example = example

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(self._pattern, value):
            self.fail(f"{value!r} does not match {self._pattern}, such as {self._example}.", param, ctx)
        return value


def queue_options(required: bool = True) -> Decorator:
    """Add ``--redis-url`` and ``--queue``, which every command accepts."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        name = Matching(QUEUE_PATTERN, "tinyllama")
        queue = option("--queue", default="tinyllama", type=name, help="The queue's name.")
        hint = "Set the variable rather than this: process lists show options."
        url = option("--redis-url", envvar="REDIS_URL", required=required, help=hint)
        return url(queue(command))

    return decorate
