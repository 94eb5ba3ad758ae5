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
from chalicelib.redis_deadline import BoundedConnection, BoundedSSLConnection
from chalicelib.redis_url import without_cluster

#: Two attempts of this length fit into the 1.5 s after which a caller is told to come back.
SOCKET_TIMEOUT_SECONDS = 0.7

#: The connection or the server is in a state that a new connection may find mended.
PASSING = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    exceptions.RedisClusterException,
)
#: Asking again at once would change nothing, or hammer a server that said no.
LASTING = (
    exceptions.AuthenticationError,
    exceptions.AuthorizationError,
    exceptions.NoPermissionError,
    exceptions.OutOfMemoryError,
    exceptions.InvalidResponse,
)
#: Servers say these with a plain ResponseError: only the first word tells.
LASTING_WORDS = ("ACL failure", "BUSY", "NOREPLICAS", "MISCONF", "NOPERM", "OOM", "WRONGPASS", "NOAUTH")

type Argument = str | int | float
type Connection = redis.Redis | redis.RedisCluster


def connect(url: str) -> Connection:
    """A client that opens its connection at first use; of a cluster for ``redis+cluster://``, ``rediss+cluster://``.

    It never retries on its own (``RedisClient.ask`` does, once): redis-py's ten retries take longer than API Gateway
    waits. Nor does it introduce itself to the server, which would cost two round trips per connection.
    """
    options: dict[str, Any] = {
        "socket_timeout": SOCKET_TIMEOUT_SECONDS,
        "socket_connect_timeout": SOCKET_TIMEOUT_SECONDS,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": True,
        "protocol": 2,
        "driver_info": DriverInfo(name=None, lib_version=None),
    }
    plain, is_cluster = without_cluster(url)
    if is_cluster:
        return redis.RedisCluster.from_url(plain, **options)
    kind = BoundedSSLConnection if plain.startswith("rediss:") else BoundedConnection
    return redis.Redis.from_url(plain, connection_class=kind, **options)


class RedisClient:
    """Asks Redis, at most twice, and answers in our own errors."""

    def __init__(self, connect_to: Callable[[], Connection]) -> None:
        self._connect_to = connect_to
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """The client in use. A cluster's asks the cluster for its nodes when it is built, so it is built late."""
        if self._connection is None:
            self._connection = self._connect_to()
        return self._connection

    def run(self, script: LuaScript, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script that is safe to send twice. Raises QueueUnavailable."""
        return self.ask(lambda: self._evaluate(script, keys, args))

    def ping(self) -> None:
        """Prove that Redis answers. Raises QueueUnavailable."""
        self.ask(lambda: bool(self.connection.ping()))

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
                self._start_anew()
                return question()
        except (*PASSING, *LASTING) as error:
            raise _unavailable() from error
        except exceptions.ResponseError as error:
            if str(error).removeprefix("ERR ").startswith(LASTING_WORDS):
                raise _unavailable() from error
            raise

    def _start_anew(self) -> None:
        """Leave broken connections behind. A cluster's client is built anew: the cluster may have changed its shape."""
        if isinstance(self._connection, redis.Redis):
            self._connection.connection_pool.disconnect(inuse_connections=False)
        else:
            self._connection = None

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
