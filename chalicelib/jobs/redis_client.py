"""Calls to Redis, attempted at most twice; errors become our own (``lambda_router_queue.redis.errors``)."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from chalicelib.errors import QueueFull, QueueUnavailable
from chalicelib.jobs.redis_connection import Connection
from chalicelib.limits import QUEUE_FULL_RETRY_MS, UNAVAILABLE_RETRY_SECONDS, retry_after
from lambda_router_queue import deadlines
from lambda_router_queue.lua_scripts import LuaScript
from lambda_router_queue.redis.errors import Reaction, reaction
from lambda_router_queue.redis.url import RedisAddress, without_cluster
from lambda_router_queue.redis.wire import Argument, Broken, Refused

#: Time limit of one attempt. Two fit into ``QUESTION_SECONDS``, after which a caller is told to retry.
ATTEMPT_SECONDS = 0.7


type Call = tuple[Sequence[str], Sequence[Argument]]
"""Keys and arguments of a script."""


class RedisConnection(Protocol):
    """A connection to a server or to a cluster."""

    def execute(self, *parts: Argument) -> Any:
        """Return the reply. Raises Refused or Broken."""

    def execute_all(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Return the replies to several commands, sent together. Raises Refused or Broken."""

    def close(self) -> None:
        """Close the connection; the next command reopens it."""


class Authority(Protocol):
    """The authority of one's own that signs the server's certificate."""

    def pem(self) -> str:
        """Return its certificates."""

    def read_again(self) -> None:
        """Fetch the certificates again, because the server's is not trusted; never raises."""


def connect(url: str, attempt_seconds: float = ATTEMPT_SECONDS, authority: Authority | None = None) -> RedisConnection:
    """Return a connection that opens at first use; to a cluster for ``redis+cluster://`` and ``rediss+cluster://``."""
    plain, is_cluster = without_cluster(url)
    pem = authority.pem if authority else None
    if not is_cluster:
        return Connection(RedisAddress.of(plain, pem), attempt_seconds)
    from lambda_router_queue.redis.cluster import Cluster

    return Cluster(plain, attempt_seconds, pem)


class RedisClient:
    """A pool with one connection per concurrent call: in Lambda one, in the local server a few.

    Args:
        question_seconds: time limit of a call, both attempts together.
        authority: fetched again before the second attempt, if the server's certificate was not trusted.
    """

    def __init__(
        self,
        connect_to: Callable[[], RedisConnection],
        question_seconds: float = deadlines.QUESTION_SECONDS,
        authority: Authority | None = None,
    ) -> None:
        self._connect_to = connect_to
        self._question_seconds = question_seconds
        self._authority = authority
        self._idle: list[RedisConnection] = []

    def run(self, script: LuaScript, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script that is safe to send twice. Raises QueueUnavailable or QueueFull."""
        return self._ask(lambda connection: _evaluate(connection, script, keys, args))

    def execute(self, *parts: Argument) -> Any:
        """Return the reply to a command that is safe to send twice. Raises QueueUnavailable or QueueFull."""
        return self._ask(lambda connection: connection.execute(*parts))

    def run_all(self, script: LuaScript, calls: Sequence[Call]) -> list[Any]:
        """Run a script several times, in one round trip. Raises like ``run``."""
        return self._ask(lambda connection: _evaluate_all(connection, script, calls))

    def execute_all(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Return the replies to several commands, in one round trip. Raises like ``execute``."""
        return self._ask(lambda connection: connection.execute_all(commands))

    def ping(self) -> None:
        """Check that Redis responds. Raises QueueUnavailable."""
        self.execute("PING")

    def close(self) -> None:
        """Close the idle connections; the next call opens a new one."""
        while self._idle:
            self._idle.pop().close()

    def _ask[Answer](self, question: Callable[[RedisConnection], Answer]) -> Answer:
        """Return the reply; after a broken connection, try once more on a new one.

        Raises:
            QueueUnavailable: Redis did not reply, or does not accept the write. Errors that only a bug of ours can
                cause (WRONGTYPE, CROSSSLOT, a script's own error) are not converted.
            QueueFull: its memory is full.
        """
        connection = self._idle.pop() if self._idle else self._connect_to()
        try:
            with deadlines.within(self._question_seconds):
                return self._ask_twice(connection, question)
        except (Broken, Refused) as error:
            if _reaction(error) is Reaction.BUG:
                raise
            raise (_full() if _reaction(error) is Reaction.FULL else _unavailable(error)) from error
        finally:
            self._idle.append(connection)

    def _ask_twice[Answer](self, connection: RedisConnection, question: Callable[[RedisConnection], Answer]) -> Answer:
        try:
            return question(connection)
        except (Broken, Refused) as error:
            if _reaction(error) is not Reaction.AGAIN:
                raise
            if self._authority is not None and _is_distrust(error):
                self._authority.read_again()
        self.close()  # the idle connections lead to the same server
        connection.close()
        return question(connection)


def _evaluate(connection: RedisConnection, script: LuaScript, keys: Sequence[str], args: Sequence[Argument]) -> Any:
    try:
        return connection.execute("EVALSHA", script.sha, len(keys), *keys, *args)
    except Refused as error:
        if _reaction(error) is not Reaction.SEND_SCRIPT:
            raise
        return connection.execute("EVAL", script.text, len(keys), *keys, *args)


def _evaluate_all(connection: RedisConnection, script: LuaScript, calls: Sequence[Call]) -> list[Any]:
    try:
        return connection.execute_all([("EVALSHA", script.sha, len(keys), *keys, *args) for keys, args in calls])
    except Refused as error:
        if _reaction(error) is not Reaction.SEND_SCRIPT:
            raise
        return connection.execute_all([("EVAL", script.text, len(keys), *keys, *args) for keys, args in calls])


def _reaction(error: Broken | Refused) -> Reaction:
    """Return the reaction to an error. Without a reply the outcome is unknown, and a new connection may help."""
    return Reaction.AGAIN if isinstance(error, Broken) else reaction(str(error))


def _is_distrust(error: BaseException) -> bool:
    from lambda_router_queue.redis.troubles import Trouble, trouble_of

    return trouble_of(error) in {Trouble.CERTIFICATE, Trouble.UNKNOWN_AUTHORITY, Trouble.NOT_ITS_TIME}


def _full() -> QueueFull:
    """Return the problem for a full memory. Redis rejects a script that may not use memory before it starts."""
    detail = "The queue's memory is full; nothing was stored."
    return QueueFull(detail, headers=retry_after(QUEUE_FULL_RETRY_MS))


def _unavailable(error: Broken | Refused) -> QueueUnavailable:
    from lambda_router_queue.redis.troubles import explain  # deferred: a cold start does not need it

    return QueueUnavailable(
        "The queue cannot be reached; repeat the request, with the same Idempotency-Key if it had one.",
        headers=retry_after(UNAVAILABLE_RETRY_SECONDS * 1000),
        reason=explain(error),
    )
