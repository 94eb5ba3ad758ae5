"""How a handler reports that a job failed: for good, worth another try, or of a type that it does not do."""

import re

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class Unsuccessful(Exception):
    """Base of all outcomes that are no result.

    Args:
        code: a word for programs, such as ``context_too_long``; lower case, digits and underscores.
        message: a sentence for the job's caller. It leaves the house: no host names, no secrets.
    """

    def __init__(self, code: str, message: str) -> None:
        if not _CODE.fullmatch(code):
            raise ValueError(f"code is {code!r}; wants lower-case letters, digits and underscores, 64 at most")
        super().__init__(message)
        self.code = code
        self.message = message.encode(errors="replace").decode()  # half a surrogate pair is no JSON


class JobFailed(Unsuccessful):
    """Raise it from a handler when trying again would not help: the job ends as ``failed``."""


class TryAgain(Unsuccessful):
    """Raise it from a handler when another try may succeed. After the type's last attempt the job goes to the dead
    letters. Any exception that is neither of the two counts as this one, with a message that gives nothing away.

    Args:
        after_seconds: wait at least so long, as a server's ``Retry-After`` asks.
    """

    def __init__(self, code: str, message: str, after_seconds: float = 0) -> None:
        super().__init__(code, message)
        self.after_seconds = after_seconds


class UnsupportedType(Unsuccessful):
    """Raise it from a handler for a job whose type it does not do. No other attempt is made: the job goes to the dead
    letters at once with the code ``unsupported_type``, so that an operator can send it round again once a worker that
    does the type is there.
    """

    def __init__(self, message: str = "No worker of this queue does jobs of this type.") -> None:
        super().__init__("unsupported_type", message)
