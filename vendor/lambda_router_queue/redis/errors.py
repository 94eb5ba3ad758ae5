"""Redis's error replies and the reactions to them: one table, which ``docs/reliability.md`` shows."""

from collections.abc import Mapping
from enum import Enum


class Reaction(Enum):
    """The reaction to an error."""

    AGAIN = "sent once more, on a new connection; then 503"
    UNAVAILABLE = "503 at once"
    FULL = "503 `queue-full` at once"
    SEND_SCRIPT = "the script is sent with EVAL"
    BUG = "500, and the alarm `server-errors`"


#: First words of Redis's error → the reaction, and the reason. An error that is not listed is a bug.
REACTIONS: Mapping[str, tuple[Reaction, str]] = {
    "LOADING": (Reaction.AGAIN, "it loads its data after a start; the name may lead to another server by now"),
    "READONLY": (Reaction.AGAIN, "it was demoted; the name leads to the new primary"),
    "MASTERDOWN": (Reaction.AGAIN, "a replica that lost its primary: the same"),
    "CLUSTERDOWN": (Reaction.AGAIN, "a failover is under way"),
    "TRYAGAIN": (Reaction.AGAIN, "keys are being moved to another node"),
    "NOREPLICAS": (Reaction.AGAIN, "too few replicas follow it: the new primary may have them"),
    "max number of clients reached": (Reaction.AGAIN, "a place may have become free"),
    "OOM": (Reaction.FULL, "memory is full until workers finish jobs"),
    "MISCONF": (Reaction.UNAVAILABLE, "it cannot write to its disk"),
    "BUSY": (Reaction.UNAVAILABLE, "a script does not end"),
    "NOAUTH": (Reaction.UNAVAILABLE, "the URL lacks the password; retries would only load the server"),
    "Protocol error: unauthenticated": (Reaction.UNAVAILABLE, "the same, in answer to a long command"),
    "WRONGPASS": (Reaction.UNAVAILABLE, "the password is wrong, or the user is off: the same"),
    "invalid password": (Reaction.UNAVAILABLE, "the same, in the words of old servers"),
    "AUTH": (Reaction.UNAVAILABLE, "the URL has a password, and the server's default user has none"),
    "DB index is out of range": (Reaction.UNAVAILABLE, "the URL names a database that the server does not have"),
    "SELECT is not allowed in cluster mode": (Reaction.UNAVAILABLE, "the same, of a cluster's node"),
    "MOVED": (Reaction.UNAVAILABLE, "the URL names a cluster's node as if it were a single server"),
    "DENIED": (Reaction.UNAVAILABLE, "protected mode: no user has a password, so only its own machine may connect"),
    "NOPERM": (Reaction.UNAVAILABLE, "the user may not do this: the same"),
    "ACL failure": (Reaction.UNAVAILABLE, "the same, within a script"),
    "NOSCRIPT": (Reaction.SEND_SCRIPT, "the server was restarted, or its scripts were flushed"),
    "WRONGTYPE": (Reaction.BUG, "another program wrote to our keys, or we read the wrong one"),
    "CROSSSLOT": (Reaction.BUG, "all keys of a queue share one slot"),
}


def reaction(said: str) -> Reaction:
    """Return the reaction to an error in Redis's own words; some servers put a plain ``ERR`` before them."""
    words = said.removeprefix("ERR ")
    return next((then for first, (then, _) in REACTIONS.items() if f"{words} ".startswith(f"{first} ")), Reaction.BUG)
