"""The worker's connection to Redis: a single server or a cluster."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from lambda_router_queue.lua_scripts import LuaScript
from lambda_router_queue.redis.errors import Reaction, reaction
from lambda_router_queue.redis.url import RedisAddress, check_redis_url, without_cluster
from lambda_router_queue.redis.wire import Argument, Broken, RedisTrouble, Refused
from lambda_router_worker.queue.redis_server import Server

#: Longer than the longest command, which is the idle wait of one second.
ANSWER_SECONDS = 5.0

#: Redis is unreachable or in trouble. The remedy is to wait and retry.
REDIS_TROUBLE = (RedisTrouble, OSError)

#: No reply came. Redis may have executed the command.
REDIS_SILENCE = (Broken, OSError)


class Connection(Protocol):
    """A connection to a server or a cluster."""

    async def execute(self, *parts: Argument) -> Any:
        """Return the reply to a command, as it came. Raises Refused or Broken."""

    async def wait(self, *parts: Argument) -> Any:
        """Return the reply to a command that blocks the connection. Only one caller at a time may wait."""

    def keys_like(self, pattern: str) -> AsyncIterator[str]:
        """Yield every key that matches, by SCAN, which may return a key twice."""

    async def aclose(self) -> None:
        """Close the connection."""


def connect(url: str, seconds: float = ANSWER_SECONDS) -> Connection:
    """Return the connection for a URL.

    It sends each command once. Retries are left to the consumer, which backs off with jitter and logs the outage.

    ``rediss`` means TLS, where ``?ssl_ca_certs=FILE`` names a private certificate authority. ``+cluster`` means cluster
    mode.

    Args:
        seconds: how long a reply may make no progress, and how long connecting may take.

    Raises:
        BadRedisURL: the message says what is expected, and repeats nothing of the URL.
    """
    plain, is_cluster = without_cluster(check_redis_url(url))
    if not is_cluster:
        return Server(RedisAddress.of(plain), seconds)
    from lambda_router_worker.queue.redis_cluster import Cluster

    return Cluster(plain, seconds)


async def run_script(redis: Connection, script: LuaScript, keys: Sequence[str], args: Sequence[Argument]) -> Any:
    """Run a script and return its reply. If the server does not know it, send its text. Raises Refused or Broken."""
    words = [*keys, *args]
    try:
        return await redis.execute("EVALSHA", script.sha, len(keys), *words)
    except Refused as error:
        if reaction(str(error)) is not Reaction.SEND_SCRIPT:
            raise
        return await redis.execute("EVAL", script.text, len(keys), *words)
