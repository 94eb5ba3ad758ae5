"""The proxy's listener and its life."""

import errno
import logging
import os
import socket
from ipaddress import ip_address

import anyio
import uvicorn

from lambda_router.errors import KitError
from lambda_router.proxy.application import Application

#: Open streams get that long at Ctrl-C, in whole seconds.
_DRAIN_SECONDS = 1
#: Tools keep connections in pools. One that the proxy closes first may be used just then, and the tool sees an error.
_IDLE_SECONDS = 75


def listen(host: str, port: int, *, allow_remote: bool) -> socket.socket:
    """Return a listening socket.

    Raises:
        KitError: the port is taken, the host is not this machine's, or it is not loopback without ``allow_remote``.
    """
    family, address = _resolved(host, port)
    if not ip_address(address[0].partition("%")[0]).is_loopback and not allow_remote:
        raise KitError(
            f"--host {host} lets other machines in, to use your login with the proxy's key: add --allow-remote if you"
            " want that"
        )
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # With SO_REUSEADDR, Windows would let a second program listen on the same port.
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        option = socket.SO_REUSEADDR if os.name == "posix" or exclusive is None else exclusive
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise _failure(error, host, port) from None
    return listener


def run(application: Application, listener: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM, which take effect after this returns."""
    # uvicorn logs each answer that was broken off, with a traceback; the application reports those itself.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL + 1)
    config = uvicorn.Config(
        application,
        loop="asyncio",
        http="h11",  # the strict one: it refuses two Host headers, bare line feeds and conflicting lengths
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )

    async def serve() -> None:
        try:
            await uvicorn.Server(config).serve(sockets=[listener])
        finally:
            await application.close()

    anyio.run(serve)


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise KitError(f"--host {host!r} is no address of this machine") from None
    # 127.0.0.1 first, where a name has both: most tools have it.
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, (str(address[0]), int(address[1]))


def _failure(error: OSError, host: str, port: int) -> KitError:
    if error.errno == errno.EADDRINUSE:
        return KitError(f"port {port} of {host} is taken, perhaps by another proxy: end that, or use --port")
    if error.errno == errno.EACCES:
        return KitError(f"port {port} of {host} may not be used by you: use --port with one above 1023")
    return KitError(f"cannot listen on port {port} of {host}: {error.strerror}; use another --host or --port")
