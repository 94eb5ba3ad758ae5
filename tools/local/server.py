"""``python -m tools.local.server``: the Lambda function behind an HTTP server on this machine, for ``make run``."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from io import TextIOWrapper
from socketserver import TCPServer
from typing import Any

import click

from chalicelib import wiring
from chalicelib.callers.jwks import BadKeySet
from chalicelib.parameters import ParameterUnavailable
from chalicelib.settings import SettingsError
from tools.local.gateway import Gateway
from tools.local.http import Handler
from tools.local.ports import port_option

DRAIN_SECONDS = 5.0


class LocalServer(ThreadingHTTPServer):
    """A server on this machine's loopback that listens from its creation on, with a thread per connection."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_port = False
    gateway: Gateway

    def __init__(self, port: int, handler: type[Handler] = Handler) -> None:
        """Bind the port.

        Raises:
            OSError: the port is not available.
        """
        super().__init__(("127.0.0.1", port), handler)
        self.stopping = threading.Event()
        self._at_work = 0
        self._changed = threading.Condition()

    def server_bind(self) -> None:
        """Bind without HTTPServer's lookup of this host's name, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnected or timed out."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count a request as in progress meanwhile."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def stop(self, seconds: float) -> bool:
        """Stop accepting, and wait for the requests in progress; return whether they all ended in time."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        with self._changed:
            return self._changed.wait_for(lambda: self._at_work == 0, seconds)

    def _count(self, step: int) -> None:
        with self._changed:
            self._at_work += step
            self._changed.notify_all()


@click.command()
@port_option
def main(port: int) -> None:
    """Serve the app on 127.0.0.1 until SIGTERM or Ctrl-C, then finish the requests in progress."""
    server = _listen(port)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    _check_settings()
    from app import app

    server.gateway = Gateway(app)
    threading.Thread(target=server.serve_forever, args=[0.1], daemon=True).start()
    stop.wait()
    server.stop(DRAIN_SECONDS)


def _listen(port: int) -> LocalServer:
    try:
        return LocalServer(port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise click.ClickException(f"port {port} is taken: stop what runs there or give another --port") from None
        raise click.ClickException(f"port {port} cannot be used: {error.strerror}") from None


def _check_settings() -> None:
    """Exit with status 2 unless the environment describes a working function."""
    try:
        wiring.build(os.environ)
    except (SettingsError, ParameterUnavailable) as error:
        sys.exit(_complain(str(error)))
    except BadKeySet as error:
        sys.exit(_complain(f"COGNITO_JWKS: {error}"))


def _complain(message: str) -> int:
    print(message, file=sys.stderr)
    return 2


def _write_whole_lines() -> None:
    """Buffer by line, so that concurrent threads do not split each other's JSON lines, as unbuffered output would."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True, write_through=False)


if __name__ == "__main__":
    _write_whole_lines()
    main()
