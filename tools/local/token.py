"""``python -m tools.local.token``: print a token for the service of ``make run``, and nothing else."""

from contextlib import suppress

import click

from tools.local.cognito import LocalCognito
from tools.local.pool.clients import USER
from tools.local.ports import DEFAULT_PORT, port_option
from tools.local.state import LocalState


@click.command()
@port_option
@click.option("--as", "user", envvar="AS", default="demo", show_default=True, help="User name; created if missing.")
def main(port: int, user: str) -> None:
    """Print a fresh access token."""
    if not USER.fullmatch(user):
        raise click.ClickException(
            f"{user!r} is not a valid user name: use 1 to 64 letters, digits and ._-, starting with a letter or digit"
        )
    token, facts = None, LocalState(port).published()
    if facts is not None:
        with suppress(OSError):  # its stack was killed and could not clean up
            token = LocalCognito.of(facts).access_token(user)
    if token is None:
        run = f"`{'' if port == DEFAULT_PORT else f'PORT={port} '}make run` or `PORT={port} make chalice-local`"
        raise click.ClickException(f"nothing runs on port {port}: start it with {run}, or set its port with PORT=…")
    click.echo(token)


if __name__ == "__main__":
    main()
