"""``lambda-router logout``."""

import click

from lambda_router import servers, store, token_endpoint, tokens
from lambda_router.commands.options import say, server_option
from lambda_router.errors import KitError


@click.command()
@server_option
def command(server: str | None) -> None:
    """Revoke the login, and forget its tokens.

    The tokens here are gone even if the issuer cannot be reached, and then the exit status is 5. An access token that
    was handed out before works until its end.
    """
    found = servers.find(server)
    trouble: KitError | None = None
    with tokens.lock_of(found.name):
        try:
            credentials = store.load(found.name, to_revoke=True)
            if credentials and credentials.refresh_token:
                token_endpoint.revoke(found, credentials.refresh_token)
        except KitError as error:
            trouble = error
        store.remove(found.name)
    tokens.forget(found)
    if trouble:
        say("The tokens here are gone, but the login was not revoked.")
        raise trouble
    say(f"Logged out of {found.name}.")
