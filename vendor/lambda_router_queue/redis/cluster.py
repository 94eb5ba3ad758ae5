"""A cluster, through redis-py, which knows how to find the node that has a key and what to do when it moved.

It is imported when a URL names a cluster, and only then: a single server's functions do not pay for it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from redis import RedisCluster, exceptions
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.retry import Retry

from lambda_router_queue import deadlines
from lambda_router_queue.redis.wire import Argument, Broken, Refused

#: What it raises when no answer came.
BROKEN = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.InvalidResponse,
    exceptions.ClusterDownError,
)


class Cluster:
    """Asks as a ``Connection`` does. It asks the cluster for its nodes at its first question, and anew after it broke.

    It never retries on its own: redis-py's ten retries take longer than API Gateway waits. Nor does it introduce itself
    to the server, which would cost two round trips per connection.

    redis-py bounds each step of a question, not the whole of it: the search for the nodes and every move to another
    one has its own time. So it asks in a thread, which is left to itself when the answer is not there in time.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self._open()

    def execute(self, *parts: Argument) -> Any:
        """The answer to a command.

        Raises:
            Refused: Redis said no; the connections are as good as before.
            Broken: no answer in time. It may have been done all the same.
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
        """The replies to several commands: each node is sent all of its own at once. Raises as ``execute`` does."""
        return self._whole(lambda: self._nodes.ask_all(commands))

    def close(self) -> None:
        """Hang up; the next question opens connections anew."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._nodes.leave()
        self._open()

    def _open(self) -> None:
        """Nothing is started before the first question."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="redis-cluster")
        self._nodes = _Nodes(self._url, self._seconds)


class _Nodes:
    """redis-py's client, for one thread to ask and another to give up."""

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
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
        return self._with_client(lambda client: client.execute_command(*parts))  # type: ignore[no-untyped-call]

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
                self._client = RedisCluster.from_url(self._url, **self._options)
            return question(self._client)
        finally:
            if self._left:
                self.leave()

    def leave(self) -> None:
        """Close all connections, also those that a question under way is about to open."""
        self._left = True
        if self._client is not None:
            self._client.close()


def refused(error: exceptions.RedisError) -> Refused:
    """redis-py takes the first word of what the server said away, and keeps it beside the rest."""
    return Refused(f"{error.status_code} {error}" if error.status_code else str(error))
