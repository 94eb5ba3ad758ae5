"""Options that several commands have."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from lambda_router import environment

_Command = TypeVar("_Command", bound=Callable[..., Any])


def server_option(command: _Command, otherwise: str = "the default one") -> _Command:
    """Add ``--server``; the command gets ``server: str | None``, for ``tokens.found_server``."""
    decorate = click.option(
        "--server",
        envvar=environment.SERVER,
        metavar="NAME",
        help=f"Server, by name or address; {otherwise} if omitted.",
        show_envvar=True,
    )
    return decorate(command)


def json_option(command: _Command) -> _Command:
    """Add ``--json``; the command gets ``as_json: bool``."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON.")(command)


def say(text: str) -> None:
    """Write to standard error: standard output has the answer only."""
    click.echo(text, err=True)
