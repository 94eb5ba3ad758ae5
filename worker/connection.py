"""The worker's connection to Redis: one server, or a cluster."""

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MasterDownError, ReadOnlyError

from chalicelib.redis_url import check_redis_url, without_cluster

#: Longer than the longest command, the idle wait of one second.
SOCKET_TIMEOUT_SECONDS = 5.0
#: After a failover the name leads to another server, but this one still answers, with these: hang up.
DEMOTED = [ReadOnlyError, MasterDownError]


def connect(url: str) -> Redis | RedisCluster:
    """A client for that URL. Retries are the consumer's: it backs off with jitter and says so in the log.

    ``rediss`` is TLS; ``?ssl_ca_certs=FILE`` names a private authority. ``+cluster`` is cluster mode.

    Raises:
        BadRedisURL: the message says what is wanted, and nothing of what was found.
    """
    plain, is_cluster = without_cluster(check_redis_url(url))
    options: dict[str, Any] = {
        "socket_timeout": SOCKET_TIMEOUT_SECONDS,
        "socket_connect_timeout": SOCKET_TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": True,
        "protocol": 2,
    }
    if is_cluster:
        return RedisCluster.from_url(plain, **options)
    return Redis.from_url(plain, retry_on_error=DEMOTED, **options)
