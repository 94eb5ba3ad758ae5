"""A connection to a cluster through redis-py, which finds the node of a key, even after the key has moved.

Imported only if a URL names a cluster, so that functions with a single server do not pay for it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

from redis import RedisCluster, exceptions
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.retry import Retry

from lambda_router_queue import deadlines
from lambda_router_queue.redis.wire import Argument, Broken, Refused

#: Exceptions that redis-py raises if there is no reply.
BROKEN = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.InvalidResponse,
    exceptions.ClusterDownError,
)


class Cluster:
    """A connection to a cluster, with the methods of ``Connection``.

    It finds the nodes at its first command, and again after it broke. It never retries on its own: redis-py's ten
    retries take longer than API Gateway waits. It does not introduce itself to the server either, which would cost two
    round trips per connection.

    redis-py limits each step of a command, not the whole: the search for the nodes and every move to another one have
    their own timeouts. So commands run in a thread, which is abandoned if the reply does not arrive in time.
    """

    def __init__(self, url: str, seconds: float, own_authority: Callable[[], str] | None = None) -> None:
        self._url = url
        self._seconds = seconds
        self._own_authority = own_authority
        self._open()

    def execute(self, *parts: Argument) -> Any:
        """Return the reply to a command.

        Raises:
            Refused: Redis replied with an error; the connections are still usable.
            Broken: no reply in time. The command may have been executed.
        """
        return self._whole(lambda: self._nodes.ask(parts))

    def _whole[Answer](self, question: Callable[[], Answer]) -> Answer:
        try:
            with deadlines.within(self._seconds):
                return self._thread.submit(question).result(deadlines.left())
        except (exceptions.RedisClusterException, OSError) as error:
            self.close()
            raise Broken(type(error).__name__) from error
        except BROKEN as error:
            self.close()
            raise refused(error) if error.status_code else Broken(type(error).__name__) from error
        except exceptions.RedisError as error:
            raise refused(error) from error

    def execute_all(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Return the replies to several commands: each node is sent all of its own at once. Raises like ``execute``."""
        return self._whole(lambda: self._nodes.ask_all(commands))

    def close(self) -> None:
        """Close the connections; the next command opens new ones."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._nodes.leave()
        self._open()

    def _open(self) -> None:
        """Prepare a thread and a client, which both start with the first command."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="redis-cluster")
        self._nodes = _Nodes(self._url, self._seconds, self._own_authority)


class _Nodes:
    """redis-py's client, used by one thread and abandoned by another."""

    def __init__(self, url: str, seconds: float, own_authority: Callable[[], str] | None) -> None:
        self._url = url
        self._own_authority = own_authority
        self._options: dict[str, Any] = {
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "socket_keepalive": True,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": True,
            "encoding_errors": "surrogateescape",
            "protocol": 2,
            "driver_info": DriverInfo(name=None, lib_version=None),
        }
        self._client: RedisCluster | None = None
        self._left = False

    def ask(self, parts: Sequence[Argument]) -> Any:
        reply = self._with_client(lambda client: client.execute_command(*parts))  # type: ignore[no-untyped-call]
        return _as_it_came(reply) if parts[0] == "XREAD" else reply

    def ask_all(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        def ask(client: RedisCluster) -> list[Any]:
            pipeline: Any = client.pipeline(transaction=False)  # type: ignore[no-untyped-call]
            for parts in commands:
                pipeline.execute_command(*parts)
            return list(pipeline.execute())

        return self._with_client(ask)

    def _with_client[Answer](self, question: Callable[[RedisCluster], Answer]) -> Answer:
        try:
            if self._client is None:
                # redis-py trusts the system's authorities besides, which a single server's connection does not.
                trusted = {"ssl_ca_data": self._own_authority()} if self._own_authority else {}
                self._client = RedisCluster.from_url(self._url, **self._options, **trusted)
            return question(self._client)
        finally:
            if self._left:
                self.leave()

    def leave(self) -> None:
        """Close all connections, including those that a running command is about to open."""
        self._left = True
        if self._client is not None:
            self._client.close()


def _as_it_came(reply: Any) -> list[Any] | None:
    """Restore Redis's reply to XREAD: redis-py turns the fields of an entry into a dict."""
    entries = ((key, [[name, [*chain(*fields.items())]] for name, fields in rows]) for key, rows in reply)
    return [*map(list, entries)] or None


def refused(error: exceptions.RedisError) -> Refused:
    """Restore Redis's error text: redis-py removes its first word, and keeps it beside the rest."""
    return Refused(f"{error.status_code} {error}" if error.status_code else str(error))
