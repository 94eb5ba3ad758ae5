"""``lambda-router login``."""

import sys

import click

from lambda_router import environment, servers
from lambda_router.commands.options import say
from lambda_router.errors import LoginRefused
from lambda_router.login import code_login
from lambda_router.servers import Server


@click.command()
@click.argument("server", metavar="URL")
@click.option("--name", help="Name for a new server; made of the address if omitted.")
@click.option("--no-browser", is_flag=True, help="Print the login page's address, and read the code that you paste.")
@click.option("--default", "as_default", is_flag=True, help="Make this server the default.")
def command(server: str, name: str | None, no_browser: bool, as_default: bool) -> None:
    """Log in to the server at URL, such as https://host/prod.

    URL may also be the name of a known server. The tokens stay on this machine.
    """
    pending = code_login.begin(server, name)
    if code_login.known_server(pending.server.name) is None:
        say(f"{pending.server.url} is {pending.server.name}. Its tokens come from {pending.server.issuer}")
        _warn_of_others(pending.server)
    if no_browser:
        code_login.by_pasting(pending, say, _pasted)
    else:
        code_login.in_browser(pending, say)
    if as_default:
        code_login.make_default(pending.server)
    if environment.machine_client() is not None:
        say(f"{environment.CLIENT_ID} is set: commands use that client instead of this login, until you unset it.")
    say(f"Logged in to {pending.server.name}.")


def _warn_of_others(new: Server) -> None:
    """Name the servers with the issuer of a new one, which any server can claim (RFC 9728, section 7.4)."""
    others = [each.url for each in servers.load().servers if each.issuer == new.issuer]
    if others:
        say(f"Warning: so do those of {', '.join(others)}. Whoever runs {new.url} can use your tokens there, too.")


def _pasted() -> str:
    """Return the first line of standard input that is not empty. Raises LoginRefused."""
    click.echo("> ", nl=False, err=True)
    for line in sys.stdin or ():
        if line.strip():
            return line
    raise LoginRefused("nothing was pasted before standard input ended: log in again, and paste the page's address")
