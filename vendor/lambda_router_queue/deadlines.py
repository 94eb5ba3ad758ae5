"""One clock over a whole call to another server: name resolution, connection, TLS, writing and reading.

A socket's timeout restarts with each address and with each byte, and name resolution cannot be interrupted at all. So
code inside ``within`` calls ``left`` before each step, and names are resolved in a separate thread.
"""

import math
import socket
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar, Token

#: Time limit of one call, whether for signing keys or to Redis, SSM or KMS.
QUESTION_SECONDS = 1.5
#: Time limit of all calls of one request together. It starts again after each wait that the caller requested.
REQUEST_SECONDS = 3.0
#: Threads that may be left behind at a time. Beyond that, no call starts that could need another one.
MOST_LEFT_BEHIND = 16

type Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]]
type Resolve = Callable[[str, int], list[Address]]
type Dial = Callable[[str, int], socket.socket]

_ends: ContextVar[float] = ContextVar("ends", default=math.inf)


class within:  # noqa: N801  # reads like contextlib.suppress, which is a class too
    """Limit the calls inside to that many seconds, and to the limit around it if that ends sooner."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._before: Token[float]

    def __enter__(self) -> None:
        self._before = _ends.set(min(_ends.get(), time.monotonic() + self._seconds))

    def __exit__(self, *_: object) -> None:
        _ends.reset(self._before)


def renew(seconds: float) -> None:
    """Restart the innermost ``within`` with that many seconds, after a wait that the caller requested.

    Outside of any, there is no limit to restart: the body of a stream is made after its request.
    """
    if _ends.get() != math.inf:
        _ends.set(time.monotonic() + seconds)


def left() -> float:
    """Return the seconds left, infinite if there is no limit. Raises TimeoutError if the time is up."""
    seconds = _ends.get() - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the response was not complete in time")
    return seconds


class _Work[Result](threading.Thread):
    """A call that cannot be interrupted."""

    def __init__(self, work: Callable[[], Result]) -> None:
        super().__init__(daemon=True, name="left-behind")  # the process does not wait for it at exit
        self._work = work
        self._result: list[Result] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result.append(self._work())
        except BaseException as error:
            self._error = error

    def result(self) -> Result:
        """Return or raise what the call did. Raises TimeoutError if the time is up; the thread goes on alone."""
        seconds = left()
        self.join(None if seconds == math.inf else seconds)
        if self._error is not None:
            raise self._error
        if not self._result:
            raise TimeoutError("no response in time")
        return self._result[0]


_lock = threading.Lock()
_at_work: list[threading.Thread] = []
_lookups: dict[tuple[str, int], _Work[list[Address]]] = {}


def _begun[Result](work: Callable[[], Result]) -> _Work[Result]:
    """Start a thread for the call. The lock must be held."""
    _at_work[:] = [thread for thread in _at_work if thread.is_alive()]
    if len(_at_work) >= MOST_LEFT_BEHIND:
        raise TimeoutError("too many threads wait for responses that nobody needs any more")
    thread = _Work(work)
    thread.start()
    _at_work.append(thread)
    return thread


def in_time[Result](work: Callable[[], Result]) -> Result:
    """Run ``work`` in a thread; return or raise what it does. Raises TimeoutError if the time is up."""
    with _lock:
        thread = _begun(work)
    return thread.result()


def _system(host: str, port: int) -> list[Address]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[return-value]  # no raw sockets


def resolve(host: str, port: int, ask: Resolve = _system) -> list[Address]:
    """Return the addresses of a name. Concurrent calls for the same name share one thread.

    Raises:
        OSError: the name does not exist, or was not resolved in time.
    """
    with _lock:
        lookup = _lookups.get((host, port))
        if lookup is None or not lookup.is_alive():
            lookup = _lookups[host, port] = _begun(lambda: ask(host, port))
    try:
        return lookup.result()
    finally:
        with _lock:
            if not lookup.is_alive() and _lookups.get((host, port)) is lookup:
                del _lookups[host, port]


def dial(host: str, port: int, ask: Resolve = _system) -> socket.socket:
    """Connect to the first of a name's addresses that accepts; each but the last gets half of the time left.

    Raises:
        OSError: none accepted in time.
    """
    try:
        addresses = _numeric(host, port)
    except socket.gaierror:
        addresses = resolve(host, port, ask)
    *others, last = addresses
    for address in others:
        try:
            return _connected(address, left() / 2)
        except OSError:
            continue
    return _connected(last, left())


def _numeric(host: str, port: int) -> list[Address]:
    """Return the address of a host in digits, which needs no lookup. Raises gaierror for a name."""
    flags = socket.AI_NUMERICHOST
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)  # type: ignore[return-value]


def _connected(address: Address, seconds: float) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(None if seconds == math.inf else seconds)
        sock.connect(where)
    except BaseException:
        sock.close()
        raise
    return sock
