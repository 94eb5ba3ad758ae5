"""Redis's ``maxmemory-policy``, and advice for operators about it."""

from chalicelib.errors import QueueUnavailable
from chalicelib.jobs.redis_client import RedisClient
from lambda_router_queue.eviction import LOOK, SAFE, evicting, is_forbidden
from lambda_router_queue.queue_keys import QueueKeys


def policy(redis: RedisClient, queue: QueueKeys) -> str | None:
    """Return ``maxmemory-policy`` of the queue's node; empty if not reported, None if this user lacks the permission.

    Raises:
        QueueUnavailable: Redis does not respond.
    """
    try:
        return str(redis.run(LOOK, [queue.flow], []))
    except QueueUnavailable as error:
        if not is_forbidden(error.__cause__):
            raise
    redis.ping()
    return None


def shortcoming(policy: str | None) -> str | None:
    """Return what an operator should know and do about that policy, or None."""
    if policy is None:
        return "maxmemory-policy is unknown; allow the Redis user +info"
    return f"maxmemory-policy is {policy}; set it to {SAFE}, or jobs are lost" if evicting(policy) else None
