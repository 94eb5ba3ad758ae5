"""Asks Redis, twice at most, and answers in our own errors (``lambda_router_queue.redis.errors``)."""

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

#: Two attempts of this length fit into the ``QUESTION_SECONDS`` after which a caller is told to come back.
ATTEMPT_SECONDS = 0.7


type Call = tuple[Sequence[str], Sequence[Argument]]
"""Keys and arguments of a script."""


class RedisConnection(Protocol):
    """A connection to a server or to a cluster."""

    def execute(self, *parts: Argument) -> Any:
        """The answer. Raises Refused or Broken."""

    def execute_all(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """The replies to several commands, sent together. Raises Refused or Broken."""

    def close(self) -> None:
        """Hang up; the next question opens it anew."""


def connect(url: str) -> RedisConnection:
    """A connection that opens itself at first use; to a cluster for ``redis+cluster://``, ``rediss+cluster://``."""
    plain, is_cluster = without_cluster(url)
    if not is_cluster:
        return Connection(RedisAddress.of(plain), ATTEMPT_SECONDS)
    from lambda_router_queue.redis.cluster import Cluster

    return Cluster(plain, ATTEMPT_SECONDS)


class RedisClient:
    """As many connections as there are questions at a time: in Lambda one, in the local server a few."""

    def __init__(self, connect_to: Callable[[], RedisConnection]) -> None:
        self._connect_to = connect_to
        self._idle: list[RedisConnection] = []

    def run(self, script: LuaScript, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script that is safe to send twice. Raises QueueUnavailable or QueueFull."""
        return self._ask(lambda connection: _evaluate(connection, script, keys, args))

    def execute(self, *parts: Argument) -> Any:
        """The answer to a command that is safe to send twice. Raises QueueUnavailable or QueueFull."""
        return self._ask(lambda connection: connection.execute(*parts))

    def run_all(self, script: LuaScript, calls: Sequence[Call]) -> list[Any]:
        """Run a script several times, in one round trip. Raises as ``run`` does."""
        return self._ask(lambda connection: _evaluate_all(connection, script, calls))

    def execute_all(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """The replies to several commands, in one round trip. Raises as ``execute`` does."""
        return self._ask(lambda connection: connection.execute_all(commands))

    def ping(self) -> None:
        """Prove that Redis answers. Raises QueueUnavailable."""
        self.execute("PING")

    def close(self) -> None:
        """Hang up; the next question opens a connection anew."""
        while self._idle:
            self._idle.pop().close()

    def _ask[Answer](self, question: Callable[[RedisConnection], Answer]) -> Answer:
        """The answer; after a broken connection the question is asked once more on a new one.

        Raises:
            QueueUnavailable: Redis did not answer, or will not take the write. Errors that only a bug of ours can
                cause (WRONGTYPE, CROSSSLOT, a script's own error) pass through.
            QueueFull: its memory is full.
        """
        connection = self._idle.pop() if self._idle else self._connect_to()
        try:
            with deadlines.within(deadlines.QUESTION_SECONDS):
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
        self.close()  # the others were opened to the same server
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
    """What follows. Without an answer it is unknown what was done, and a new connection may be better."""
    return Reaction.AGAIN if isinstance(error, Broken) else reaction(str(error))


def _full() -> QueueFull:
    """A script that may not use memory is refused before it begins."""
    detail = "The queue's memory is full; nothing was stored."
    return QueueFull(detail, headers=retry_after(QUEUE_FULL_RETRY_MS))


def _unavailable(error: Broken | Refused) -> QueueUnavailable:
    from lambda_router_queue.redis.troubles import explain  # a cold start does without it

    return QueueUnavailable(
        "The queue cannot be reached; repeat the request, with the same Idempotency-Key if it had one.",
        headers=retry_after(UNAVAILABLE_RETRY_SECONDS * 1000),
        reason=explain(error),
    )
