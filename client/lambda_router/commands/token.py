"""``lambda-router token``."""

import click

from lambda_router import tokens
from lambda_router.commands.options import server_option


@click.command()
@server_option
@click.option("--header", is_flag=True, help="Print the whole header, for curl -H @-.")
def command(server: str | None, header: bool) -> None:
    """Print a fresh access token and nothing else.

    \b
    To keep it off the process list and out of the shell's history:
      lambda-router token --header | curl -H @- https://host/prod/v1/models
    """
    token = tokens.fresh_token(server)
    click.echo(f"Authorization: Bearer {token}" if header else token)
