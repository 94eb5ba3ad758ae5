"""Asks Redis, twice at most, and answers in our own errors."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from chalicelib.errors import QueueUnavailable
from chalicelib.limits import UNAVAILABLE_RETRY_SECONDS, retry_after
from chalicelib.lua_scripts import LuaScript
from chalicelib.redis_connection import Connection
from chalicelib.redis_url import RedisAddress, without_cluster
from chalicelib.redis_wire import Argument, Broken, Refused

#: Two attempts of this length fit into the 1.5 s after which a caller is told to come back.
ATTEMPT_SECONDS = 0.7

#: The server is in a state that a new connection, perhaps to another server, may find mended.
PASSING_WORDS = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "max number of clients reached")
#: Asking again at once would change nothing, or hammer a server that said no.
LASTING_WORDS = (
    "ACL failure",
    "BUSY",
    "MISCONF",
    "NOAUTH",
    "NOPERM",
    "NOREPLICAS",
    "OOM",
    "WRONGPASS",
    "invalid password",
)


class Asked(Protocol):
    """A connection to a server or to a cluster."""

    def execute(self, *parts: Argument) -> Any:
        """The answer. Raises Refused or Broken."""

    def close(self) -> None:
        """Hang up; the next question opens it anew."""


def connect(url: str) -> Asked:
    """A connection that opens itself at first use; to a cluster for ``redis+cluster://``, ``rediss+cluster://``."""
    plain, is_cluster = without_cluster(url)
    if not is_cluster:
        return Connection(RedisAddress.of(plain), ATTEMPT_SECONDS)
    from chalicelib.redis_cluster import Cluster

    return Cluster(plain, ATTEMPT_SECONDS)


class RedisClient:
    """As many connections as there are questions at a time: in Lambda one, in the local server a few."""

    def __init__(self, connect_to: Callable[[], Asked]) -> None:
        self._connect_to = connect_to
        self._idle: list[Asked] = []

    def run(self, script: LuaScript, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script that is safe to send twice. Raises QueueUnavailable."""
        return self._ask(lambda connection: _evaluate(connection, script, keys, args))

    def execute(self, *parts: Argument) -> Any:
        """The answer to a command that is safe to send twice. Raises QueueUnavailable."""
        return self._ask(lambda connection: connection.execute(*parts))

    def ping(self) -> None:
        """Prove that Redis answers. Raises QueueUnavailable."""
        self.execute("PING")

    def close(self) -> None:
        """Hang up; the next question opens a connection anew."""
        while self._idle:
            self._idle.pop().close()

    def _ask[Answer](self, question: Callable[[Asked], Answer]) -> Answer:
        """The answer; after a broken connection the question is asked once more on a new one.

        Raises:
            QueueUnavailable: Redis did not answer, or will not take the write. Errors that only a bug of ours can
                cause (WRONGTYPE, CROSSSLOT, a script's own error) pass through.
        """
        connection = self._idle.pop() if self._idle else self._connect_to()
        try:
            try:
                return question(connection)
            except (Broken, Refused) as error:
                if not _is_passing(error):
                    raise
                self.close()  # the others were opened to the same server
                connection.close()
                return question(connection)
        except (Broken, Refused) as error:
            if _is_passing(error) or _starts_with(error, LASTING_WORDS):
                raise _unavailable() from error
            raise
        finally:
            self._idle.append(connection)


def _evaluate(connection: Asked, script: LuaScript, keys: Sequence[str], args: Sequence[Argument]) -> Any:
    try:
        return connection.execute("EVALSHA", script.sha, len(keys), *keys, *args)
    except Refused as error:
        if error.word != "NOSCRIPT":
            raise
        return connection.execute("EVAL", script.text, len(keys), *keys, *args)


def _is_passing(error: Broken | Refused) -> bool:
    return isinstance(error, Broken) or _starts_with(error, PASSING_WORDS)


def _starts_with(error: Broken | Refused, words: tuple[str, ...]) -> bool:
    """Servers say some of these behind a plain ``ERR``."""
    return str(error).removeprefix("ERR ").startswith(words)


def _unavailable() -> QueueUnavailable:
    return QueueUnavailable(
        "The queue cannot be reached; repeat the request, with the same Idempotency-Key if it had one.",
        headers=retry_after(UNAVAILABLE_RETRY_SECONDS * 1000),
    )
