"""``lambda-router servers``."""

import json
from dataclasses import replace

import click

from lambda_router import servers, store, tokens
from lambda_router.commands.options import json_option, say
from lambda_router.errors import UnknownServer


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the servers; the default has a star."""
    if context.invoked_subcommand is not None:
        return
    known = servers.load()
    if as_json:
        rows = [
            {"name": each.name, "url": each.url, "issuer": each.issuer, "default": each.name == known.default}
            for each in known.servers
        ]
        click.echo(json.dumps(rows))
        return
    width = max((len(each.name) for each in known.servers), default=0)
    for each in known.servers:
        click.echo(f"{'*' if each.name == known.default else ' '} {each.name:{width}}  {each.url}")
    if not known.servers:
        say("No server is known here: run lambda-router login URL")


@command.command("default")
@click.argument("name")
def default(name: str) -> None:
    """Make the server NAME the default."""
    with servers.changing():
        known = servers.load()
        servers.save(replace(known, default=_named(known, name).name))


@command.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Forget the server NAME, its pinned issuer and its tokens. Log out first, so that they are revoked."""
    with servers.changing():
        known = servers.load()
        found = _named(known, name)
        with tokens.lock_of(found.name):
            store.remove_all(found.name)
        servers.save(known.without(found.name))


def _named(known: servers.ServerList, name: str) -> servers.Server:
    found = known.named(name)
    if found is None:
        names = ", ".join(each.name for each in known.servers) or "none"
        raise UnknownServer(f"server {name!r} is unknown (known: {names})")
    return found
