"""The ports that the local stack may listen on."""

import errno
import re
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import click

HOST = "127.0.0.1"
DEFAULT_PORT = 8000


class PortUnusable(Exception):
    """The port cannot be listened on; the message says why and what to do."""


def checked_port(_: click.Context, __: click.Parameter, value: str) -> int:
    """Return the port that ``--port`` or PORT names."""
    if not re.fullmatch(r"\d{1,5}", value, re.ASCII) or not 1 <= int(value) <= 65_535:
        raise click.ClickException(f"PORT is {value!r}; set a whole number from 1 to 65535, such as PORT=8001")
    return int(value)


#: ``--port``, or the variable that ``make run PORT=…`` sets.
port_option = click.option("--port", envvar="PORT", default=str(DEFAULT_PORT), show_default=True, callback=checked_port)


def require_free(port: int) -> None:
    """Raise PortUnusable unless the port can be listened on."""
    try:
        _listen_briefly(port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise taken(port, "stop what runs there") from None
        raise PortUnusable(f"port {port} cannot be used ({error.strerror}); use {_other_port(port)}") from None


def taken(port: int, remedy: str) -> PortUnusable:
    """Return the error for a port in use; ``remedy`` says how to free it."""
    return PortUnusable(f"port {port} is taken: {remedy}, or use {_other_port(port)}")


def free_ports(count: int) -> list[int]:
    """Return that many different ports that nobody listens on."""
    with ExitStack() as sockets:
        ports = []
        for _ in range(count):
            listener = sockets.enter_context(socket.socket())
            listener.bind((HOST, 0))
            ports.append(listener.getsockname()[1])
        return ports


def kept_port(file: Path) -> int:
    """Return the port that the file names, or another one, which it names from then on, if that one is taken."""
    with suppress(FileNotFoundError, ValueError, OSError):
        port = int(file.read_text())
        _listen_briefly(port)
        return port
    (port,) = free_ports(1)
    file.write_text(str(port))
    return port


def _listen_briefly(port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that has just ended is no obstacle
        listener.bind((HOST, port))
        listener.listen()


def _other_port(port: int) -> str:
    """Return the ``PORT=…`` of a port that is free."""
    for candidate in [*range(port + 1, 65_536), *range(8000, 9000)]:
        try:
            _listen_briefly(candidate)
        except OSError:
            continue
        return f"PORT={candidate}"
    return "another PORT"
