"""Exceptions by which a handler reports a failed job: failed for good, worth a retry, or of an unsupported type.

The constructors check their arguments, so that a mistake surfaces in the handler that made it. ``BadOutcome`` says what
then happens to the job.
"""

import math
import re

from lambda_router_queue.models import MAX_ERROR_CODE_BYTES, MAX_ERROR_MESSAGE_BYTES

_CODE = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_ERROR_CODE_BYTES - 1}}}", re.ASCII)


class BadOutcome(TypeError, ValueError):
    """An invalid argument to ``JobFailed``, ``TryAgain`` or ``UnsupportedType``, which is a bug in the handler.

    Another attempt would hit the same bug, so there is none. The job becomes a dead letter at once, with the code
    ``worker_error``. It can be requeued once the handler is fixed.

    Args:
        reason: names the argument and the fix, but nothing that came with the job. The log shows it.
        found: the value, if it cannot be part of a prompt.
    """

    def __init__(self, reason: str, found: str = "") -> None:
        super().__init__(f"{reason}; found {found}" if found else reason)
        self.reason = reason


class Unsuccessful(Exception):
    """Base class of all outcomes without a result.

    Args:
        code: a word for programs, such as ``context_too_long``; lower-case letters, digits and underscores.
        message: a sentence for the job's caller. It leaves your organization, so it must not contain host names or
            secrets. It is cut to MAX_ERROR_MESSAGE_BYTES of UTF-8.
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
    """Raise this in a handler if a retry would not help. The job ends as ``failed``."""


class TryAgain(Unsuccessful):
    """Raise this in a handler if a retry may succeed. After the job's last attempt, the job becomes a dead letter.

    Any exception that this module does not define counts as ``TryAgain``, with a message that reveals nothing.

    Args:
        after_seconds: minimum wait, such as a server's ``Retry-After``. The wait is at most an hour.
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
    """No further attempt is made. The job becomes a dead letter at once, so that an operator can look at it."""


class UnsupportedType(GivenUp):
    """Raise this in a handler for a job type that it does not support.

    The job becomes a dead letter at once, with the code ``unsupported_type``. An operator can requeue it once a worker
    supports that type.
    """

    def __init__(self, message: str = "No worker of this queue processes jobs of this type.") -> None:
        super().__init__("unsupported_type", message)


def _cut(message: str) -> str:
    whole = message.encode(errors="replace")  # JSON cannot hold half a surrogate pair
    if len(whole) <= MAX_ERROR_MESSAGE_BYTES:
        return whole.decode()
    mark = "…"
    return whole[: MAX_ERROR_MESSAGE_BYTES - len(mark.encode())].decode(errors="ignore") + mark


def _type(value: object) -> str:
    return type(value).__name__


def _number(value: float) -> str:
    return "a negative number" if isinstance(value, int) else repr(value)  # an int may have a million digits
