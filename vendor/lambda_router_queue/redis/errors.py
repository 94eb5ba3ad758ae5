"""What Redis says when it says no, and what follows: one table, which ``docs/reliability.md`` shows."""

from collections.abc import Mapping
from enum import Enum


class Course(Enum):
    """What is done about an error."""

    AGAIN = "asked once more, on a new connection; then 503"
    UNAVAILABLE = "503 at once"
    FULL = "503 `queue-full` at once"
    SEND_SCRIPT = "the script is sent along, with EVAL"
    BUG = "500, and the alarm `server-errors`"


#: First words of what Redis says → what follows, and why. What is not listed is a bug.
COURSES: Mapping[str, tuple[Course, str]] = {
    "LOADING": (Course.AGAIN, "it reads its file after a start; the name may lead to another server by now"),
    "READONLY": (Course.AGAIN, "it was demoted: the name leads to the new primary"),
    "MASTERDOWN": (Course.AGAIN, "a replica that lost its primary: the same"),
    "CLUSTERDOWN": (Course.AGAIN, "a failover is under way"),
    "TRYAGAIN": (Course.AGAIN, "keys are on their way to another node"),
    "NOREPLICAS": (Course.AGAIN, "too few replicas follow it: the new primary may have them"),
    "max number of clients reached": (Course.AGAIN, "a place may have become free"),
    "OOM": (Course.FULL, "memory is full, and stays so until workers are done with something"),
    "MISCONF": (Course.UNAVAILABLE, "it cannot write to its disk"),
    "BUSY": (Course.UNAVAILABLE, "somebody's script runs and runs"),
    "NOAUTH": (Course.UNAVAILABLE, "the URL lacks the password; whoever asks again hammers the server"),
    "Protocol error: unauthenticated": (Course.UNAVAILABLE, "the same, in answer to a long command"),
    "WRONGPASS": (Course.UNAVAILABLE, "the password is wrong, or the user is off: the same"),
    "invalid password": (Course.UNAVAILABLE, "the same, in the words of old servers"),
    "AUTH": (Course.UNAVAILABLE, "the URL has a password, and the server's default user has none"),
    "DB index is out of range": (Course.UNAVAILABLE, "the URL names a database that the server does not have"),
    "SELECT is not allowed in cluster mode": (Course.UNAVAILABLE, "the same, of a cluster's node"),
    "MOVED": (Course.UNAVAILABLE, "the URL names a cluster's node as if it were a single server"),
    "DENIED": (Course.UNAVAILABLE, "protected mode: no user has a password, so only its own machine may connect"),
    "NOPERM": (Course.UNAVAILABLE, "the user may not do this: the same"),
    "ACL failure": (Course.UNAVAILABLE, "the same, within a script"),
    "NOSCRIPT": (Course.SEND_SCRIPT, "the server was restarted, or its scripts were flushed"),
    "WRONGTYPE": (Course.BUG, "another program wrote to our keys, or we read the wrong one"),
    "CROSSSLOT": (Course.BUG, "all keys of a queue share one slot"),
}


def course(said: str) -> Course:
    """What follows from an error in Redis's own words; some servers put a plain ``ERR`` before them."""
    words = said.removeprefix("ERR ")
    return next((then for first, (then, _) in COURSES.items() if f"{words} ".startswith(f"{first} ")), Course.BUG)
