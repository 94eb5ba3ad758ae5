"""A small HTTP server for supervisors and scrapers: one request for each connection, and none with a body."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

#: How long a client may take to send its request, and to read the response.
CLIENT_SECONDS = 5.0
#: Clients at a time. One more ends the oldest, as the worker needs its open files for Redis and its model server.
#: Supervisors and scrapers are served within milliseconds; nobody misses a client that sends no request.
MOST_CLIENTS = 64


class Request(NamedTuple):
    """A request. ``path`` is without its query; names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, head: bytes) -> "Request":
        """Parse a request's head; what is missing is empty."""
        line, *lines = head.decode("latin-1").splitlines()
        method, target, *_ = [*line.split(" "), "", ""]
        headers: dict[str, str] = {}
        for each in lines:
            name, _, value = each.partition(":")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return cls(method, target.partition("?")[0], headers)


type Answer = Callable[[Request], Awaitable[bytes]]
"""Returns the response to a request, as `response` makes it."""


def response(status: str, content_type: str, body: bytes, **headers: str) -> bytes:
    """Return a response.

    Args:
        status: such as ``200 OK``.
        headers: further ones, with ``_`` in place of ``-``.
    """
    known = {"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close"}
    named = known | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in named.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> str:
    """Return the message for an address that is taken, is not this machine's, or cannot be one."""
    if isinstance(error, UnicodeError):
        return f"--health-host {host!r} cannot be the name of a host; give 127.0.0.1."
    reason = str(error.strerror).rpartition(": ")[2]
    return f"cannot listen at {host}:{port} ({reason}); give another --health-port."


async def listen(answer: Answer, port: int, host: str) -> asyncio.Server:
    """Answer requests on that port. Port 0 takes a free port."""
    clients: dict[asyncio.StreamWriter, None] = {}  # the oldest first

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients[writer] = None
        if len(clients) > MOST_CLIENTS:
            oldest = next(iter(clients))
            del clients[oldest]
            oldest.transport.abort()
        try:
            async with asyncio.timeout(CLIENT_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            writer.write(await answer(Request.of(head)))
            async with asyncio.timeout(CLIENT_SECONDS):
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a client that does not speak HTTP, or does not read, gets no response
        finally:
            clients.pop(writer, None)
            writer.transport.abort()

    return await asyncio.start_server(serve, host, port)
