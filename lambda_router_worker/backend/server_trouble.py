"""What may be the model server's fault rather than the job's."""

from enum import Enum

from lambda_router_worker.outcomes import Unsuccessful


class Kind(Enum):
    """How sure it is that the server, not the job, is at fault."""

    #: The connection was refused, reset or lost; no route, no such host, TLS that fails.
    UNREACHABLE = "unreachable"
    #: The server turns this worker away: 401, 403, 404, 405, a redirect to elsewhere.
    REFUSED_US = "refused us"
    #: 5xx, or no answer in time.
    BROKEN = "broken"
    #: 400: the job's fault, or a wrong model or chat template. Only another request can tell.
    DOUBTFUL = "doubtful"


class ServerTrouble(Exception):
    """The model server's trouble, not the job's.

    Args:
        reason: one line for operators, in plain words, such as ``connection refused``. No URL, no secret.
        otherwise: how the job ends if the server turns out to be well.
        was_there: the job had been sent to the server when it broke.
        words: what the server said. It may quote the job, and is logged only where no caller's job was sent.
    """

    def __init__(
        self, reason: str, kind: Kind, otherwise: Unsuccessful, *, was_there: bool = False, words: str = ""
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.otherwise = otherwise
        self.was_there = was_there
        self.words = words
