"""``lambda-router proxy``."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from lambda_router import servers, tokens
from lambda_router.commands.options import say, server_option
from lambda_router.errors import KitError


@dataclass(frozen=True)
class _Listening:
    """Options about who can reach the proxy."""

    host: str
    port: int
    allow_remote: bool
    hosts: tuple[str, ...]
    origins: tuple[str, ...]


@click.command()
@partial(server_option, otherwise="all that you logged in to")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=11435,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0 for any free one.",
)
@click.option("--allow-remote", is_flag=True, help="Allow a --host that other machines can reach.")
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="NAME", help="Answer to this host name, too; may be repeated."
)
@click.option(
    "--allow-origin", "origins", multiple=True, metavar="ORIGIN", help="Let web pages from there call; may be repeated."
)
@click.option("--show-key", is_flag=True, help="Print the proxy's key and nothing else.")
@click.option("--new-key", is_flag=True, help="Replace the proxy's key; tools then need the new one.")
def command(server: str | None, show_key: bool, new_key: bool, **listening: Any) -> None:
    """Serve the OpenAI API on this machine, for tools that know one fixed key.

    \b
    Give the tool the base URL and the key that are printed at the first start. The proxy puts
    a fresh token into each request, and hands everything else through.

    \b
    Without --server it serves all servers that you logged in to. If there are several, models are
    called server/model, and http://127.0.0.1:11435/NAME/v1 is one server alone.

    \b
    Tools in containers need the name by which they call this machine:
      lambda-router proxy --allow-host host.docker.internal
    Web pages need their origin:
      lambda-router proxy --allow-origin https://chat.example.com
    """
    _require_extra()
    from lambda_router.proxy import key

    if new_key:
        say(f"New key: {key.renew()}")
        say("A proxy that runs keeps the old one: start it again.")
    if show_key:
        click.echo(key.load()[0])
    if not (show_key or new_key):
        _serve(server, _Listening(**listening))


def _serve(server: str | None, wanted: _Listening) -> None:
    from lambda_router.proxy import key, rules, serving
    from lambda_router.proxy.application import Application

    only = tokens.found_server(server) if server else None
    found = [only] if only else _all_servers()
    allowed_hosts = _checked("--allow-host", "a name such as host.docker.internal", rules.host_names, wanted.hosts)
    allowed_origins = _checked(
        "--allow-origin", "an origin such as https://chat.example", rules.origins, wanted.origins
    )
    listener = serving.listen(wanted.host, wanted.port, allow_remote=wanted.allow_remote)
    secret, is_new = key.load()
    if wanted.allow_remote:
        say("WARNING: other machines that have the key use your login; keys and answers go unencrypted.")
    say(f"Serving {', '.join(each.url for each in found)}")
    address, listening = listener.getsockname()[:2]
    say(f"Base URL: http://{f'[{address}]' if ':' in address else address}:{listening}/v1")
    say(f"Key: {secret}" if is_new else "Key: as before (lambda-router proxy --show-key prints it)")
    checks = rules.Rules(secret, allowed_hosts, allowed_origins, wanted.allow_remote)
    serving.run(Application(checks, only, lambda text: say(f"lambda-router proxy: {text}")), listener)


def _require_extra() -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise KitError(
            "the proxy needs two more packages: install starlette and uvicorn beside lambda-router, or its wheel with"
            ' the extra: uv tool install "./FILE.whl[proxy]"'
        ) from None


def _all_servers() -> list[servers.Server]:
    servers.find()
    return list(servers.load().servers)


def _checked(
    option: str, wanted: str, check: Callable[[Iterable[str]], frozenset[str]], typed: tuple[str, ...]
) -> frozenset[str]:
    try:
        return check(typed)
    except ValueError as error:
        raise click.BadParameter(f"{str(error)!r} is not {wanted}", param_hint=option) from None
