"""Servers that break a connection in some way: they keep silent, say no, lose replies."""

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """A TCP server on 127.0.0.1 that gives each connection to ``handle``; its Redis URL."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                handle(self.request)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}/0"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def silent_server() -> Iterator[str]:
    """Accepts, reads, says nothing."""

    def handle(connection: socket.socket) -> None:
        while connection.recv(65_536):
            pass

    with serving(handle) as url:
        yield url


@contextmanager
def saying(reply: str) -> Iterator[tuple[str, list[list[bytes]]]]:
    """Answers whatever it is asked with that line; its URL, and what it was asked on each connection."""
    asked: list[list[bytes]] = []

    def handle(connection: socket.socket) -> None:
        here: list[bytes] = []
        asked.append(here)
        while question := connection.recv(65_536):
            here.append(question)
            connection.sendall(f"{reply}\r\n".encode())

    with serving(handle) as url:
        yield url, asked


@contextmanager
def losing_replies(redis_url: str, every: int) -> Iterator[str]:
    """A way to Redis on which each ``every``-th reply is lost: Redis has done the work, the connection breaks."""
    address = redis_url.removeprefix("redis://").removesuffix("/0").split(":")
    replies = 0

    def handle(connection: socket.socket) -> None:
        nonlocal replies
        with socket.create_connection((address[0], int(address[1]))) as upstream:
            while question := connection.recv(65_536):
                upstream.sendall(question)
                reply = upstream.recv(65_536)
                replies += 1
                if replies % every == 0:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                connection.sendall(reply)

    with serving(handle) as url:
        yield url
