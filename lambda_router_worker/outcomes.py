"""How a handler reports that a job failed: for good, worth another try, or of a type that it does not do.

The arguments are checked here, where they are raised, so that a mistake is found in the handler that made it. See
``BadOutcome`` for what becomes of its job.
"""

import math
import re

from lambda_router_queue.models import MAX_ERROR_CODE_BYTES, MAX_ERROR_MESSAGE_BYTES

_CODE = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_ERROR_CODE_BYTES - 1}}}", re.ASCII)


class BadOutcome(TypeError, ValueError):
    """A handler's own mistake: what it gave to ``JobFailed``, ``TryAgain`` or ``UnsupportedType`` is no such argument.

    The same line would make the same mistake at the next attempt, so there is none: the job goes to the dead letters at
    once with the code ``worker_error``, and round again when the handler is mended.

    Args:
        reason: names the argument and the fix, and nothing that came with the job. The log shows it.
        found: the value, where it cannot be part of a prompt.
    """

    def __init__(self, reason: str, found: str = "") -> None:
        super().__init__(f"{reason}; found {found}" if found else reason)
        self.reason = reason


class Unsuccessful(Exception):
    """Base of all outcomes that are no result.

    Args:
        code: a word for programs, such as ``context_too_long``; lower case, digits and underscores.
        message: a sentence for the job's caller. It leaves the house: no host names, no secrets. It is cut to
            MAX_ERROR_MESSAGE_BYTES of UTF-8.
    """

    def __init__(self, code: str, message: str) -> None:
        if not isinstance(code, str):
            raise BadOutcome(f"code is of type {_type(code)}; give a word such as 'context_too_long'")
        if not _CODE.fullmatch(code):
            wanted = "code wants lower-case letters, digits and underscores, a letter first, 64 at most"
            raise BadOutcome(wanted, repr(code[:100]))
        if not isinstance(message, str):
            raise BadOutcome(f"message is of type {_type(message)}; give a sentence for the job's caller, a str")
        super().__init__(message)
        self.code = code
        self.message = _cut(message)


class JobFailed(Unsuccessful):
    """Raise it from a handler when trying again would not help: the job ends as ``failed``."""


class TryAgain(Unsuccessful):
    """Raise it from a handler when another try may succeed. After the type's last attempt the job goes to the dead
    letters. An exception that is none of this module's counts as this one, with a message that gives nothing away.

    Args:
        after_seconds: wait at least so long, as a server's ``Retry-After`` asks; an hour at most is waited.
    """

    def __init__(self, code: str, message: str, after_seconds: float = 0) -> None:
        super().__init__(code, message)
        if isinstance(after_seconds, bool) or not isinstance(after_seconds, int | float):
            raise BadOutcome(f"after_seconds is of type {_type(after_seconds)}; give a number of seconds, such as 20")
        if not 0 <= after_seconds < math.inf:
            raise BadOutcome(
                "after_seconds wants a finite number of seconds, 0 or more, such as 20", _number(after_seconds)
            )
        self.after_seconds = after_seconds


class GivenUp(Unsuccessful):
    """No other attempt is made, and an operator may look at the job: it goes to the dead letters at once."""


class UnsupportedType(GivenUp):
    """Raise it from a handler for a job whose type it does not do. The job goes to the dead letters at once with the
    code ``unsupported_type``, so that an operator can send it round again once a worker that does the type is there.
    """

    def __init__(self, message: str = "No worker of this queue does jobs of this type.") -> None:
        super().__init__("unsupported_type", message)


def _cut(message: str) -> str:
    whole = message.encode(errors="replace")  # half a surrogate pair is no JSON
    if len(whole) <= MAX_ERROR_MESSAGE_BYTES:
        return whole.decode()
    mark = "…"
    return whole[: MAX_ERROR_MESSAGE_BYTES - len(mark.encode())].decode(errors="ignore") + mark


def _type(value: object) -> str:
    return type(value).__name__


def _number(value: float) -> str:
    return "a negative number" if isinstance(value, int) else repr(value)  # an int may have a million digits
