"""``maxmemory-policy`` as the function asks for it, and what an operator should do about it."""

from chalicelib.errors import QueueUnavailable
from chalicelib.jobs.redis_client import RedisClient
from lambda_router_queue.eviction import LOOK, SAFE, evicting, is_forbidden
from lambda_router_queue.queue_keys import QueueKeys


def policy(redis: RedisClient, queue: QueueKeys) -> str | None:
    """``maxmemory-policy`` of the node that has the queue; empty where it does not tell, None where this user may not.

    Raises:
        QueueUnavailable: Redis does not answer.
    """
    try:
        return str(redis.run(LOOK, [queue.flow], []))
    except QueueUnavailable as error:
        if not is_forbidden(error.__cause__):
            raise
    redis.ping()
    return None


def shortcoming(policy: str | None) -> str | None:
    """What an operator should know and do about that policy; None where nothing."""
    if policy is None:
        return "maxmemory-policy is unknown; allow the Redis user +info"
    return f"maxmemory-policy is {policy}; set it to {SAFE}, or jobs are lost" if evicting(policy) else None
