"""``lambda-router login``."""

import click

from lambda_router import environment
from lambda_router.commands.options import say
from lambda_router.login import code_login


@click.command()
@click.argument("server", metavar="URL")
@click.option("--name", help="Name for a new server; without it one made of the address.")
@click.option("--no-browser", is_flag=True, help="Print the page's address, and take the code pasted.")
@click.option("--default", "as_default", is_flag=True, help="Make it the default.")
def command(server: str, name: str | None, no_browser: bool, as_default: bool) -> None:
    """Log in to the server at URL, such as https://host/prod.

    The name of a known server does, too. The tokens stay on this machine.
    """
    attempt = code_login.begin(server, name)
    if code_login.known_server(attempt.server.name) is None:
        say(f"{attempt.server.url} is {attempt.server.name}. Its tokens come from {attempt.server.issuer}")
    if no_browser:
        code_login.by_pasting(attempt, say, lambda: click.prompt("", prompt_suffix="> ", err=True))
    else:
        code_login.in_browser(attempt, say)
    if as_default:
        code_login.make_default(attempt.server)
    if environment.machine_client() is not None:
        say(f"{environment.CLIENT_ID} is set: commands use that client instead of this login, until you unset it.")
    say(f"Logged in to {attempt.server.name}.")
