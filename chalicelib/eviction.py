"""What Redis does when its memory is full. Only ``noeviction`` keeps every job; the other policies delete keys.

Read from ``INFO memory``, since managed services refuse ``CONFIG GET``; within a script, since a script with a key goes
to the very node of a cluster that has the queue.
"""

from typing import Final

from chalicelib.errors import QueueUnavailable
from chalicelib.lua_scripts import load_script
from chalicelib.queue_keys import QueueKeys
from chalicelib.redis_client import RedisClient
from chalicelib.redis_wire import Refused

LOOK = load_script("eviction")

SAFE: Final = "noeviction"

#: What Redis says first to a user who may not call INFO, in a script and outside of one.
_FORBIDDEN = ("ACL failure", "NOPERM")


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


def is_forbidden(error: BaseException | None) -> bool:
    """Whether this user may not ask; users made from older documentation lack ``+info``."""
    return isinstance(error, Refused) and str(error).removeprefix("ERR ").startswith(_FORBIDDEN)


def shortcoming(policy: str | None) -> str | None:
    """What an operator should know and do about that policy; None where nothing."""
    if policy is None:
        return "maxmemory-policy is unknown; allow the Redis user +info"
    return f"maxmemory-policy is {policy}; set it to {SAFE}, or jobs are lost" if evicting(policy) else None


def evicting(policy: str) -> str | None:
    """The policy, if it throws jobs away; None also where the server does not tell."""
    return policy if policy not in ("", SAFE) else None
