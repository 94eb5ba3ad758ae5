"""How a handler says that a job failed."""

import re

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class JobFailed(Exception):
    """Raise it from a handler: the job ends as ``failed`` with this code and message.

    Args:
        code: a word for programs, such as ``context_too_long``; lower case, digits and underscores.
        message: a sentence for the job's caller. It leaves the house: no host names, no secrets.
    """

    def __init__(self, code: str, message: str) -> None:
        if not _CODE.fullmatch(code):
            raise ValueError(f"code is {code!r}; wants lower-case letters, digits and underscores, 64 at most")
        super().__init__(message)
        self.code = code
        self.message = message
