"""``python -m tools.local.server``: the Lambda function behind an HTTP server on this machine, for ``make run``."""

import errno
import os
import signal
import socket
import sys
from io import TextIOWrapper

import click
import uvicorn

from chalicelib import wiring
from chalicelib.callers.jwks import BadKeySet
from chalicelib.parameters import ParameterUnavailable
from chalicelib.settings import SettingsError
from tools.local.asgi import GatewayApp
from tools.local.gateway import Gateway
from tools.local.ports import HOST, port_option

DRAIN_SECONDS = 5
#: For streams that last longer than that to notice it: they look every second.
STREAMS_END_SECONDS = 2.0


def http_server(app: GatewayApp, drain_seconds: int = DRAIN_SECONDS) -> uvicorn.Server:
    """Return the HTTP server for an application; ``run`` takes the socket that ``listen`` returned."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # the app writes its own line for each request
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=drain_seconds,
        )
    )


def listen(port: int) -> socket.socket:
    """Bind a port of this machine's loopback; clients wait from then on.

    Raises:
        OSError: the port is not available.
    """
    listener = socket.create_server((HOST, port), backlog=128)
    # Connections inherit it. asyncio sets it only for sockets that name their protocol, and without it each response
    # on a kept connection waits 40 ms for the client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(app: GatewayApp, listener: socket.socket, drain_seconds: int = DRAIN_SECONDS) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish the requests in progress, and break off what lasts longer."""
    try:
        http_server(app, drain_seconds).run([listener])
    finally:
        app.wait_for_streams(STREAMS_END_SECONDS)


@click.command()
@port_option
def main(port: int) -> None:
    """Serve the app on 127.0.0.1 until SIGTERM or Ctrl-C, then finish the requests in progress."""
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: sys.exit(0))  # uvicorn raises the signal again once it has finished
    try:
        listener = listen(port)
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        why = "is taken: stop what runs there or use another --port" if in_use else f"cannot be used: {error.strerror}"
        raise click.ClickException(f"port {port} {why}") from None
    _check_settings()
    from app import app

    serve(GatewayApp(Gateway(app)), listener)


def _check_settings() -> None:
    """Exit with status 2 unless the environment describes a working function."""
    try:
        wiring.build(os.environ)
    except (SettingsError, ParameterUnavailable, BadKeySet) as error:
        print(f"COGNITO_JWKS: {error}" if isinstance(error, BadKeySet) else error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    if isinstance(sys.stdout, TextIOWrapper):
        # Whole lines, so that concurrent threads do not split each other's JSON, as unbuffered output would.
        sys.stdout.reconfigure(line_buffering=True, write_through=False)
    main()
