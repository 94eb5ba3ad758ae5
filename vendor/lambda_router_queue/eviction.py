"""Redis's policy for a full memory. Only ``noeviction`` keeps every job; the other policies delete keys.

It is read from ``INFO memory``, since managed services refuse ``CONFIG GET``. It is read in a script, since a cluster
routes a script with a key to the node that has the queue.
"""

from typing import Final

from lambda_router_queue.lua_scripts import load_script
from lambda_router_queue.redis.wire import Refused

LOOK = load_script("eviction")

SAFE: Final = "noeviction"

#: Start of Redis's error for a user who may not call INFO, in a script and outside of one.
_FORBIDDEN = ("ACL failure", "NOPERM")


def is_forbidden(error: BaseException | None) -> bool:
    """Return whether this user lacks the permission; users created from older documentation have no ``+info``."""
    return isinstance(error, Refused) and str(error).removeprefix("ERR ").startswith(_FORBIDDEN)


def evicting(policy: str) -> str | None:
    """Return the policy if it deletes jobs; None if it does not, or if the server does not report it."""
    return policy if policy not in ("", SAFE) else None
