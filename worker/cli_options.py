"""Options that commands share; each can be set by a variable too."""

from collections.abc import Callable
from typing import Any

import click

type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def option(name: str, **settings: Any) -> Decorator:
    """An option that ``WORKER_<NAME>`` sets too; help shows the variable and the default."""
    variable = "WORKER_" + name.strip("-").replace("-", "_").upper()
    shown: dict[str, Any] = {"envvar": variable, "show_envvar": True, "show_default": True}
    return click.option(name, **(shown | settings))


def queue_options(required: bool = True) -> Decorator:
    """``--redis-url`` and ``--queue``, as every command takes them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        queue = option("--queue", default="tinyllama", help="The queue's name.")
        hint = "Set the variable rather than this: process lists show options."
        url = option("--redis-url", envvar="REDIS_URL", required=required, help=hint)
        return url(queue(command))

    return decorate
