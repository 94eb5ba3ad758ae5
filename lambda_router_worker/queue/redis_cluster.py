"""A cluster, through redis-py, which finds the node that has a key and follows keys that move."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from redis import exceptions
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from lambda_router_queue.redis.cluster import BROKEN, refused
from lambda_router_queue.redis.errors import Reaction, reaction
from lambda_router_queue.redis.wire import Argument, Broken

#: Commands whose replies redis-py would convert.
_RESHAPED = ("HGETALL", "XCLAIM", "XPENDING", "XRANGE", "XREADGROUP", "ZRANGE")


#: A cluster's client has only a timeout and cannot see progress. Large commands get the time that such a link needs.
_SLOWEST_BYTES_A_SECOND = 200_000
_LARGEST_BYTES = 8 * 1024 * 1024
_LARGE_BYTES = 64 * 1024


class Cluster:
    """A connection with the interface of ``Server``.

    Retries are left to the consumer, which backs off with jitter and logs the outage.

    Args:
        seconds: time limit for a reply. Large commands get more.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._questions = _Nodes(url, seconds)
        self._results = _Nodes(url, seconds + _LARGEST_BYTES / _SLOWEST_BYTES_A_SECOND)

    async def execute(self, *parts: Argument) -> Any:
        """Return the reply to a command. Raises Refused or Broken."""
        size = sum(len(part) for part in parts if isinstance(part, str))
        return await (self._questions if size < _LARGE_BYTES else self._results).ask(parts)

    async def wait(self, *parts: Argument) -> Any:
        """Return the reply to a command that blocks. redis-py opens a connection for each concurrent command."""
        return await self._questions.ask(parts)

    async def keys_like(self, pattern: str) -> AsyncIterator[str]:
        """Yield every key that matches, by SCAN on each primary, which may return a key twice."""
        async for key in self._questions.keys_like(pattern):
            yield key

    async def aclose(self) -> None:
        """Close all connections."""
        await asyncio.gather(self._questions.aclose(), self._results.aclose())


class _Nodes:
    """redis-py's client for one kind of command.

    redis-py limits each step of a command, and the search for the nodes has a step for each node. Here one limit covers
    the whole command. When it expires, a new client starts from the URL, not from where this search got stuck.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self._leaving: set[asyncio.Task[None]] = set()
        self._client = self._open()

    async def ask(self, parts: tuple[Argument, ...]) -> Any:
        client = self._client
        try:
            async with asyncio.timeout(self._seconds):
                return await client.execute_command(*parts, **_node_of(client, parts))
        except TimeoutError as error:
            self._leave(client)
            raise Broken(type(error).__name__) from error
        except (exceptions.RedisClusterException, OSError) as error:
            raise Broken(type(error).__name__) from error
        except exceptions.RedisError as error:
            raise _trouble(error) from error

    async def keys_like(self, pattern: str) -> AsyncIterator[str]:
        try:
            async for key in self._client.scan_iter(match=pattern, count=1_000):
                yield str(key)
        except (exceptions.RedisClusterException, OSError) as error:
            raise Broken(type(error).__name__) from error
        except exceptions.RedisError as error:
            raise _trouble(error) from error

    async def aclose(self) -> None:
        await asyncio.gather(self._client.aclose(), *self._leaving)

    def _open(self) -> RedisCluster:
        """Create a client. It sends nothing before the first command."""
        seconds = self._seconds
        options: dict[str, Any] = {"decode_responses": True, "encoding_errors": "replace", "protocol": 2}
        times = {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": Retry(NoBackoff(), 0)}
        client = RedisCluster.from_url(self._url, **options, **times)
        for name in _RESHAPED:
            client.set_response_callback(name, _as_it_came)
        return client

    def _leave(self, client: RedisCluster) -> None:
        """Replace the client, and close it in the background: closing may take long, too."""
        if client is self._client:
            self._client = self._open()
            leaving = asyncio.create_task(client.aclose())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)


def _node_of(client: RedisCluster, parts: tuple[Argument, ...]) -> dict[str, Any]:
    """Return the node for a blocking read, which redis-py would ask the server for with two commands of its own.

    It is not known before the first command. Nor may it still be right: a key that has moved is followed all the same.
    """
    if parts[0] != "XREADGROUP":
        return {}
    with suppress(exceptions.SlotNotCoveredError):
        node = client.get_node_from_key(str(parts[parts.index("STREAMS") + 1]))
        return {"target_nodes": node} if node else {}
    return {}


def _trouble(error: exceptions.RedisError) -> Exception:
    """Convert an error to what ``lambda_router_worker.queue.shared_connection`` would raise."""
    said = refused(error)
    if isinstance(error, BROKEN) and not error.status_code:
        return Broken(type(error).__name__)
    return Broken(str(said)) if reaction(str(said)) is Reaction.AGAIN else said


def _as_it_came(response: Any, **kwargs: Any) -> Any:  # noqa: ARG001 (redis-py passes them by name)
    return response
