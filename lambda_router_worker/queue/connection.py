"""The worker's connection to Redis: one server, or a cluster."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from lambda_router_queue.lua_scripts import LuaScript
from lambda_router_queue.redis.errors import Reaction, reaction
from lambda_router_queue.redis.url import RedisAddress, check_redis_url, without_cluster
from lambda_router_queue.redis.wire import Argument, Broken, RedisTrouble, Refused
from lambda_router_worker.queue.redis_server import Server

#: Longer than the longest command, the idle wait of one second.
ANSWER_SECONDS = 5.0

#: Redis is away or unwell; what to do then is to wait and ask again.
REDIS_TROUBLE = (RedisTrouble, OSError)

#: No answer came: what was asked may have been done.
REDIS_SILENCE = (Broken, OSError)


class Connection(Protocol):
    """A server or a cluster."""

    async def execute(self, *parts: Argument) -> Any:
        """The answer to a command, as it came. Raises Refused or Broken."""

    async def wait(self, *parts: Argument) -> Any:
        """The same, for a command that makes the server wait; for one at a time."""

    def keys_like(self, pattern: str) -> AsyncIterator[str]:
        """Every key that matches, with SCAN: some of them perhaps twice."""

    async def aclose(self) -> None:
        """Hang up."""


def connect(url: str) -> Connection:
    """For that URL. It asks once: retries are the consumer's, which backs off with jitter and says so in the log.

    ``rediss`` is TLS; ``?ssl_ca_certs=FILE`` names a private authority. ``+cluster`` is cluster mode.

    Raises:
        BadRedisURL: the message says what is wanted, and nothing of what was found.
    """
    plain, is_cluster = without_cluster(check_redis_url(url))
    if not is_cluster:
        return Server(RedisAddress.of(plain), ANSWER_SECONDS)
    from lambda_router_worker.queue.redis_cluster import Cluster

    return Cluster(plain, ANSWER_SECONDS)


async def run_script(redis: Connection, script: LuaScript, keys: Sequence[str], args: Sequence[Argument]) -> Any:
    """What a script answers; it is sent along where the server does not know it. Raises Refused or Broken."""
    words = [*keys, *args]
    try:
        return await redis.execute("EVALSHA", script.sha, len(keys), *words)
    except Refused as error:
        if reaction(str(error)) is not Reaction.SEND_SCRIPT:
            raise
        return await redis.execute("EVAL", script.text, len(keys), *words)
