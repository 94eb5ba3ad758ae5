"""A TCP proxy that misbehaves on demand.

It tells requests from replies by their direction: a client that waits for each answer, as ours does, sends one request
and gets one reply, in however many pieces.
"""

import random
import re
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: Close with a reset instead of a goodbye.
_LINGER_NOT = struct.pack("ii", 1, 0)


class Cut(Exception):
    """Raised by a fault: close both ends now."""


class Fault:
    """What happens to traffic. This one: nothing; it is passed on as it comes.

    Attributes:
        holds: traffic waits until another fault is set.
    """

    holds = False

    def connected(self, near: socket.socket) -> None:
        """A client has connected; the server does not know yet."""

    def request(self, near: socket.socket, far: socket.socket, data: bytes) -> None:
        """Part of a request."""
        far.sendall(data)

    def reply(self, near: socket.socket, data: bytes, first: bool) -> None:
        """Part of a reply; ``first`` if it is the first part. The server has executed the command."""
        near.sendall(data)


class CountsCommands(Fault):
    """Passes everything on, and counts the commands by name."""

    def __init__(self) -> None:
        self.commands = Counter[str]()

    def request(self, near: socket.socket, far: socket.socket, data: bytes) -> None:
        self.commands.update(name.decode() for name in re.findall(rb"\*\d+\r\n\$\d+\r\n([A-Z]+)\r\n", data))
        far.sendall(data)


class LoseReplies(Fault):
    """Closes the connection instead of passing a reply on, for this share of all replies."""

    def __init__(self, share: float, seed: int = 1) -> None:
        self.lost = 0
        self._share = share
        self._chance = random.Random(seed)

    def reply(self, near: socket.socket, data: bytes, first: bool) -> None:
        if first and self._chance.random() < self._share:
            self.lost += 1
            raise Cut
        near.sendall(data)


class LoseOneReply(Fault):
    """Closes the connection instead of passing a reply on: to the first request that holds one of these words."""

    def __init__(self, *words: bytes) -> None:
        self.lost = 0
        self._words = words
        self._asking: socket.socket | None = None

    def request(self, near: socket.socket, far: socket.socket, data: bytes) -> None:
        if not self.lost and any(word in data for word in self._words):
            self._asking = near
        far.sendall(data)

    def reply(self, near: socket.socket, data: bytes, first: bool) -> None:
        if near is self._asking and not data.startswith(b"-NOSCRIPT"):  # then the script did not run
            self._asking, self.lost = None, self.lost + 1
            raise Cut
        near.sendall(data)


class LoseRequests(Fault):
    """Closes the connection instead of passing a request on."""

    def request(self, near: socket.socket, far: socket.socket, data: bytes) -> None:
        raise Cut


class Delay(Fault):
    """Every reply comes later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def reply(self, near: socket.socket, data: bytes, first: bool) -> None:
        if first:
            time.sleep(self._seconds)
        near.sendall(data)


class BlackHole(Fault):
    """Accepts, and swallows all that is sent."""

    def request(self, near: socket.socket, far: socket.socket, data: bytes) -> None:
        """Gone."""


class CutLink(Fault):
    """Packets are dropped in either direction, and nobody is told. TCP sends them again once the link is whole."""

    holds = True


class ForgetConnections(Fault):
    """What is open now is dead without a word, as after a long sleep behind a NAT; new connections are fine."""

    def __init__(self) -> None:
        self._new: set[socket.socket] = set()

    def connected(self, near: socket.socket) -> None:
        self._new.add(near)

    def request(self, near: socket.socket, far: socket.socket, data: bytes) -> None:
        if near in self._new:
            far.sendall(data)


class Fickle(Fault):
    """Each reply is, by chance, lost, late, or in pieces; most are passed on."""

    def __init__(self, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self._kinds: list[Fault] = [LoseReplies(1.0), Delay(0.05), Slice(16, 0.001)]

    def reply(self, near: socket.socket, data: bytes, first: bool) -> None:
        kind = self._chance.choices([Fault(), *self._kinds], [0.7, 0.1, 0.1, 0.1])[0]
        kind.reply(near, data, first)


class SwallowReplies(Fault):
    """Executes everything and answers nothing; connections stay open."""

    def reply(self, near: socket.socket, data: bytes, first: bool) -> None:
        """Gone."""


class Reset(Fault):
    """Resets each connection as soon as it is made, and open ones at the next request."""

    def connected(self, near: socket.socket) -> None:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        raise Cut

    def request(self, near: socket.socket, far: socket.socket, data: bytes) -> None:
        self.connected(near)


class ResetAfterRequest(Fault):
    """Passes the request on and resets the connection."""

    def reply(self, near: socket.socket, data: bytes, first: bool) -> None:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        raise Cut


class Slice(Fault):
    """Replies arrive in pieces of ``size`` bytes, this far apart."""

    def __init__(self, size: int, seconds: float) -> None:
        self._size = size
        self._seconds = seconds

    def reply(self, near: socket.socket, data: bytes, first: bool) -> None:
        for start in range(0, len(data), self._size):
            near.sendall(data[start : start + self._size])
            time.sleep(self._seconds)


class Narrow(Fault):
    """Requests go on at so many bytes a second, on each connection by itself."""

    def __init__(self, bytes_a_second: float) -> None:
        self._rate = bytes_a_second

    def request(self, near: socket.socket, far: socket.socket, data: bytes) -> None:
        far.sendall(data)
        time.sleep(len(data) / self._rate)


class HalfReply(Fault):
    """Closes the connection in the middle of a reply."""

    def reply(self, near: socket.socket, data: bytes, first: bool) -> None:
        near.sendall(data[: len(data) // 2])
        raise Cut


class HalfClose(Fault):
    """Says that no reply will come, and keeps reading."""

    def request(self, near: socket.socket, far: socket.socket, data: bytes) -> None:
        far.sendall(data)
        near.shutdown(socket.SHUT_WR)

    def reply(self, near: socket.socket, data: bytes, first: bool) -> None:
        """The way back is closed."""


class Proxy:
    """A listening proxy; ``fault`` may be set at any time and holds for open connections too.

    A new ``target`` holds for new connections, as when a name is given another address.
    """

    def __init__(self, target: tuple[str, int], listener: socket.socket) -> None:
        self.fault = Fault()
        self.port: int = listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.connections = 0
        self.target = target
        self._listener = listener

    def accept(self) -> None:
        """Serve connections until the listener is closed."""
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, suppress(Cut, OSError):
            self.fault.connected(near)
            with socket.create_connection(self.target) as far:
                self._pass_on(near, far)

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        first = False
        while True:
            readable, _, _ = select.select((near, far), (), ())
            if near in readable:
                if not (data := near.recv(65_536)):
                    return
                self._wait_for_the_link()
                self.fault.request(near, far, data)
                first = True
            if far in readable:
                if not (data := far.recv(65_536)):
                    return
                self._wait_for_the_link()
                self.fault.reply(near, data, first)
                first = False

    def _wait_for_the_link(self) -> None:
        while self.fault.holds:
            time.sleep(0.005)


@contextmanager
def proxy_to(url: str, window: int | None = None) -> Iterator[Proxy]:
    """A proxy in front of the server at that URL.

    Args:
        window: bytes taken before they are passed on; else the kernel takes megabytes, as no narrow link does.
    """
    port = int(url.rpartition(":")[2].partition("/")[0])
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        if window is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        proxy = Proxy(("127.0.0.1", port), listener)
        threading.Thread(target=proxy.accept, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.fault = Fault()
            listener.shutdown(socket.SHUT_RDWR)
