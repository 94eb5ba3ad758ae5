"""Problems that may be the model server's fault rather than the job's."""

from enum import Enum

from lambda_router_worker.outcomes import Unsuccessful


class Kind(Enum):
    """The certainty that the server, and not the job, is at fault."""

    #: The connection was refused, reset or lost; no route, unknown host, TLS failure.
    UNREACHABLE = "unreachable"
    #: The server rejects this worker: 401, 403, 404, 405, or a redirect to another server.
    REFUSED_US = "refused us"
    #: 5xx, or no response in time.
    BROKEN = "broken"
    #: 400: the job is at fault, or the model or chat template is wrong. Only another request can tell.
    DOUBTFUL = "doubtful"


class ServerTrouble(Exception):
    """A problem of the model server, not of the job.

    Args:
        reason: one line for operators, in plain words, such as ``connection refused``. It contains no URL or secret.
        otherwise: the job's outcome if the server turns out to be healthy.
        was_there: the job had been sent to the server when it broke.
        words: the server's message. It may quote the job, so it is logged only if no caller's job was sent.
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
