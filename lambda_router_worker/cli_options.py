"""Options that the commands share. Each can also be set by an environment variable."""

import functools
import re
from collections.abc import Callable
from typing import Any, ClassVar

import click

from lambda_router_queue.metrics import DEFAULT_STACK, STACK_PATTERN
from lambda_router_queue.queue_keys import QUEUE_PATTERN
from lambda_router_queue.redis.url import BadRedisURL, check_redis_url
from lambda_router_worker.secret_file import BadSecretFile, read_secret

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


class Duration(click.ParamType[int]):
    """A parameter type for a number and a unit, such as 90s, 15m, 1h or 2d, in milliseconds."""

    name = "duration"
    _UNITS: ClassVar = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):  # a default has been converted
            return value
        if not re.fullmatch("[0-9]{1,6}[smhd]", value, re.ASCII):
            self.fail(f"{value!r} is not a number with s, m, h or d behind it, such as 90s, 15m, 1h or 2d.", param, ctx)
        return int(value[:-1]) * self._UNITS[value[-1]]


#: Options of whatever exports metrics.
stack_option = option(
    "--stack",
    envvar="ROUTER_STACK",
    default=DEFAULT_STACK,
    type=Matching(STACK_PATTERN, "lambda-router-prod"),
    help="Stack whose alarms watch this worker's metrics: the same as the router's, such as lambda-router-prod.",
)
health_host_option = option("--health-host", default="127.0.0.1", help="Address for it.")


def queue_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--queue`` and the two sources of the Redis URL, which every command accepts.

    The command gets ``queue`` and ``redis_url``, which has been checked. A group that runs one of its commands gets
    None, since that command has the same options.
    """

    @functools.wraps(command)
    def with_url(*args: Any, redis_url: str | None, redis_url_file: str | None, **options: Any) -> Any:
        here = click.get_current_context().invoked_subcommand is None
        url = checked_url(redis_url, redis_url_file) if here else None
        return command(*args, redis_url=url, **options)

    return unchecked_queue_options(with_url)


def unchecked_queue_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the same options to a command that calls ``checked_url`` itself."""
    name = Matching(QUEUE_PATTERN, "tinyllama")
    queue = option("--queue", default="tinyllama", type=name, help="The queue's name.")
    file = option("--redis-url-file", metavar="FILE", help="File that holds it instead, such as a mounted secret.")
    url = variable("REDIS_URL", help="Redis with the queue, such as rediss://user:password@host:6379/0.")
    return url(file(queue(command)))


def checked_url(variable: str | None, file: str | None) -> str:
    """Return the Redis URL. Raises click.UsageError, whose message repeats nothing of it."""
    if variable and file:
        raise click.UsageError("REDIS_URL and --redis-url-file are both set; give one of them.")
    if not variable and not file:
        raise click.UsageError("set REDIS_URL, such as redis://127.0.0.1:6379/0, or give --redis-url-file FILE.")
    where = f"--redis-url-file {file!r}" if file else "REDIS_URL"
    try:
        return check_redis_url(read_secret("--redis-url-file", file, "a Redis URL") if file else variable or "")
    except BadSecretFile as error:
        raise click.UsageError(f"{error}.") from None
    except BadRedisURL as error:
        raise click.UsageError(f"{where} {error}.") from None
