"""What Redis does when its memory is full. Only ``noeviction`` keeps every job; the other policies delete keys.

Read from ``INFO memory``, since managed services refuse ``CONFIG GET``; within a script, since a script with a key goes
to the very node of a cluster that has the queue.
"""

from typing import Final

from lambda_router_queue.lua_scripts import load_script
from lambda_router_queue.redis.wire import Refused

LOOK = load_script("eviction")

SAFE: Final = "noeviction"

#: What Redis says first to a user who may not call INFO, in a script and outside of one.
_FORBIDDEN = ("ACL failure", "NOPERM")


def is_forbidden(error: BaseException | None) -> bool:
    """Whether this user may not ask; users made from older documentation lack ``+info``."""
    return isinstance(error, Refused) and str(error).removeprefix("ERR ").startswith(_FORBIDDEN)


def evicting(policy: str) -> str | None:
    """The policy, if it throws jobs away; None also where the server does not tell."""
    return policy if policy not in ("", SAFE) else None
