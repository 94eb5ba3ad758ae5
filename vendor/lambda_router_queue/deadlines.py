"""One clock over a whole question to another server: resolve, connect, TLS, write and read end by the same moment.

A socket's timeout starts anew with each address and with each byte, and resolving a name cannot be interrupted at all.
So what is done within ``within`` asks ``left`` before each step, and a name is resolved in a thread of its own.
"""

import math
import socket
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar, Token

#: What a question to the signing keys, to Redis, to SSM or to KMS may take.
QUESTION_SECONDS = 1.5
#: What all questions of one request may take together, and once more whenever a caller asked to be kept waiting.
REQUEST_SECONDS = 3.0
#: Threads that may be left behind at a time; then nothing more is begun that could need one.
MOST_LEFT_BEHIND = 16

type Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]]
type Resolve = Callable[[str, int], list[Address]]
type Dial = Callable[[str, int], socket.socket]

_ends: ContextVar[float] = ContextVar("ends", default=math.inf)


class within:  # noqa: N801  # reads like contextlib.suppress, which is a class too
    """Whatever is asked inside ends within so many seconds, and no later than what is around it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._before: Token[float]

    def __enter__(self) -> None:
        self._before = _ends.set(min(_ends.get(), time.monotonic() + self._seconds))

    def __exit__(self, *_: object) -> None:
        _ends.reset(self._before)


def renew(seconds: float) -> None:
    """From now on the innermost ``within`` has so many seconds: its time was spent waiting, as the caller wanted."""
    _ends.set(time.monotonic() + seconds)


def left() -> float:
    """Seconds until the time is up; infinite where nothing bounds it. Raises TimeoutError when it is."""
    seconds = _ends.get() - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the answer did not come whole in time")
    return seconds


class _Work[Result](threading.Thread):
    """Something that cannot be interrupted."""

    def __init__(self, work: Callable[[], Result]) -> None:
        super().__init__(daemon=True, name="left-behind")  # a process that ends does not wait for it
        self._work = work
        self._result: list[Result] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result.append(self._work())
        except BaseException as error:
            self._error = error

    def result(self) -> Result:
        """What the work returned or raised. Raises TimeoutError when the time is up; the thread goes on alone."""
        seconds = left()
        self.join(None if seconds == math.inf else seconds)
        if self._error is not None:
            raise self._error
        if not self._result:
            raise TimeoutError("the answer did not come in time")
        return self._result[0]


_lock = threading.Lock()
_at_work: list[threading.Thread] = []
_lookups: dict[tuple[str, int], _Work[list[Address]]] = {}


def _begun[Result](work: Callable[[], Result]) -> _Work[Result]:
    """Call it with the lock held."""
    _at_work[:] = [thread for thread in _at_work if thread.is_alive()]
    if len(_at_work) >= MOST_LEFT_BEHIND:
        raise TimeoutError("as many threads as may be are waiting for answers that nobody waits for any more")
    thread = _Work(work)
    thread.start()
    _at_work.append(thread)
    return thread


def in_time[Result](work: Callable[[], Result]) -> Result:
    """What ``work`` returns or raises, from a thread. Raises TimeoutError when the time is up."""
    with _lock:
        thread = _begun(work)
    return thread.result()


def _system(host: str, port: int) -> list[Address]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[return-value]  # no raw sockets


def resolve(host: str, port: int, ask: Resolve = _system) -> list[Address]:
    """The addresses of a name. Who asks for one that is being resolved waits for that, so a name holds one thread.

    Raises:
        OSError: there is no such name, or not in time.
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
    """A connection to the first of a name's addresses that answers; each but the last gets half of the time left.

    Raises:
        OSError: none did, in time.
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
    """Of an address written in figures, for which nobody has to be asked. Raises gaierror for a name."""
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
