"""The ``lambda-router`` command. A subcommand's module is imported when it is called, since some are large."""

import importlib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from lambda_router.calling.terminal import lossy, writing
from lambda_router.errors import EXIT_STATUSES, KitError

#: Subcommands and their lines in the help. Each is the function ``command`` of its module in ``commands``.
COMMANDS = {
    "login": "Log in to a server, with the browser or by pasting.",
    "logout": "Revoke a login and forget its tokens.",
    "token": "Print a fresh access token and nothing else.",
    "servers": "List the servers, choose the default, remove one.",
    "chat": "Ask a model, and see its words as they come.",
    "jobs": "List your jobs.",
    "show": "Show one job.",
    "cancel": "Cancel a job.",
    "proxy": "Serve the OpenAI API on this machine, for tools with a fixed key.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found = importlib.import_module(f"lambda_router.commands.{cmd_name}").command
        return found if isinstance(found, click.Command) else None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Its reader may leave, for which click has another exit status."""
        with writing():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list without importing every command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit statuses."""
        with formatter.section("Exit status"):
            formatter.write_dl([(str(status), meaning) for status, meaning in EXIT_STATUSES.items()])


def _show_version(context: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    if not is_wanted or context.resilient_parsing:
        return
    import importlib.metadata

    try:
        version = importlib.metadata.version("lambda-router")
    except importlib.metadata.PackageNotFoundError:
        version = "of a checkout"
    click.echo(f"lambda-router {version}")
    context.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def group() -> None:
    """Call a Lambda Router: fresh tokens for any client of the OpenAI API."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command; an error of the kit is one line on standard error."""
    lossy()
    try:
        with writing():  # the help, which no command writes
            status: Any = group.main(arguments, prog_name="lambda-router", standalone_mode=False)
    except KitError as error:
        click.echo(f"lambda-router: {error}", err=True)
        sys.exit(error.exit_status)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)
