"""A cluster, through redis-py, which knows how to find the node that has a key and what to do when it moved.

It is imported when a URL names a cluster, and only then: a single server's functions do not pay for it.
"""

from types import TracebackType
from typing import Any, Self

from redis import RedisCluster, exceptions
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.retry import Retry

from chalicelib.redis_wire import Argument, Broken, Refused

_BROKEN = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.InvalidResponse,
    exceptions.ClusterDownError,
)


class Cluster:
    """Asks as a ``Connection`` does. It asks the cluster for its nodes at its first question, and anew after it broke.

    It never retries on its own: redis-py's ten retries take longer than API Gateway waits. Nor does it introduce itself
    to the server, which would cost two round trips per connection.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._options: dict[str, Any] = {
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "socket_keepalive": True,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": True,
            "protocol": 2,
            "driver_info": DriverInfo(name=None, lib_version=None),
        }
        self._client: RedisCluster | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def execute(self, *parts: Argument) -> Any:
        """The answer to a command. Raises Refused or Broken."""
        try:
            if self._client is None:
                self._client = RedisCluster.from_url(self._url, **self._options)
            return self._client.execute_command(*parts)  # type: ignore[no-untyped-call]
        except (exceptions.RedisClusterException, OSError) as error:
            self.close()
            raise Broken(type(error).__name__) from error
        except _BROKEN as error:
            self.close()
            raise _refused(error) if error.status_code else Broken(type(error).__name__) from error
        except exceptions.RedisError as error:
            raise _refused(error) from error

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _refused(error: exceptions.RedisError) -> Refused:
    """redis-py takes the first word of what the server said away, and keeps it beside the rest."""
    return Refused(f"{error.status_code} {error}" if error.status_code else str(error))
