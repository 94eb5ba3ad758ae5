"""One connection to Redis that fails fast, and the map from its errors to ours."""

from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.retry import Retry

from chalicelib.errors import QueueUnavailable
from chalicelib.limits import UNAVAILABLE_RETRY_SECONDS, retry_after
from chalicelib.lua_scripts import LuaScript

#: Two attempts of this length fit into the 1.5 s after which a caller is told to come back.
SOCKET_TIMEOUT_SECONDS = 0.7

#: The connection or the server is in a state that a new connection may find mended.
PASSING = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
)
#: Asking again at once would change nothing, or hammer a server that said no.
LASTING = (
    exceptions.AuthenticationError,
    exceptions.AuthorizationError,
    exceptions.NoPermissionError,
    exceptions.OutOfMemoryError,
)
#: Servers say these with a plain ResponseError: only the first word tells.
LASTING_WORDS = ("NOREPLICAS", "MISCONF", "NOPERM", "OOM", "WRONGPASS", "NOAUTH")

type Argument = str | int | float


def connect(url: str) -> redis.Redis:
    """A client that opens its connection at first use.

    It never retries on its own (``RedisClient.ask`` does, once): redis-py's ten retries take longer than API Gateway
    waits. Nor does it introduce itself to the server, which would cost two round trips per connection.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=SOCKET_TIMEOUT_SECONDS,
        socket_connect_timeout=SOCKET_TIMEOUT_SECONDS,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        protocol=2,
        driver_info=DriverInfo(name=None, lib_version=None),
    )


class RedisClient:
    """Asks Redis, at most twice, and answers in our own errors."""

    def __init__(self, connection: redis.Redis) -> None:
        self.connection = connection

    def run(self, script: LuaScript, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script that is safe to send twice. Raises QueueUnavailable."""
        return self.ask(lambda: self._evaluate(script, keys, args))

    def run_each(self, script: LuaScript, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]) -> list[Any]:
        """Run a script once per (keys, args), all in one round trip. Raises QueueUnavailable."""
        if not calls:
            return []
        pipeline = self.connection.pipeline(transaction=False)
        pipeline.script_load(script.text)
        for keys, args in calls:
            pipeline.evalsha(script.sha, len(keys), *keys, *args)
        return self.ask(pipeline.execute)[1:]

    def ask[Answer](self, question: Callable[[], Answer]) -> Answer:
        """The answer; after a broken connection the question is asked once more on a new one.

        Raises:
            QueueUnavailable: Redis did not answer, or will not take the write. Errors that only a bug of ours can
                cause (WRONGTYPE, CROSSSLOT, a script's own error) pass through.
        """
        try:
            try:
                return question()
            except PASSING as error:
                if isinstance(error, LASTING):
                    raise
                self.connection.connection_pool.disconnect()
                return question()
        except (*PASSING, *LASTING) as error:
            raise _unavailable() from error
        except exceptions.ResponseError as error:
            if str(error).lstrip("-").startswith(LASTING_WORDS):
                raise _unavailable() from error
            raise

    def _evaluate(self, script: LuaScript, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        try:
            return self.connection.evalsha(script.sha, len(keys), *keys, *args)
        except exceptions.NoScriptError:
            return self.connection.eval(script.text, len(keys), *keys, *args)


def _unavailable() -> QueueUnavailable:
    return QueueUnavailable(
        "The queue cannot be reached; repeat the request, with the same Idempotency-Key if it had one.",
        headers=retry_after(UNAVAILABLE_RETRY_SECONDS * 1000),
    )
