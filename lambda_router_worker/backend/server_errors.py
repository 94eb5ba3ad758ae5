"""Classification of a model server's error: the job's outcome, or trouble with the server."""

from collections.abc import Mapping
from typing import Any

from lambda_router_worker.backend.retry_after import retry_after_seconds
from lambda_router_worker.backend.server_trouble import Kind, ServerTrouble
from lambda_router_worker.backend.server_words import server_words
from lambda_router_worker.outcomes import JobFailed, TryAgain

#: The server means "not now" rather than "no".
BUSY = frozenset({408, 409, 425, 429})
#: Another job would get the same status: it is about the key, payment, path or model. 407 is a proxy's 401.
_REFUSED_US = frozenset({401, 402, 403, 404, 405, 407, 410})
#: This job is too large or invalid. The caller reads the server's message.
_ABOUT_THE_JOB = frozenset({413, 422})

#: Statuses of errors within a response of status 200, by the error's ``type`` or ``code``.
_STATUS_OF = {
    "invalid_request_error": 400,
    "badrequesterror": 400,
    "context_length_exceeded": 400,
    "exceed_context_size_error": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "notfounderror": 404,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "overloaded_error": 503,
    "unavailable_error": 503,
}


RIGHT_URL = "a base URL looks like http://host:8080/v1"


def failure(
    status: int, document: Any = None, headers: Mapping[str, str] | None = None, secret: str | None = None
) -> JobFailed | TryAgain | ServerTrouble:
    """Return the exception to raise for a response of that status.

    Args:
        document: the parsed body; None if it is not JSON.
        headers: a mapping with lower-case names, or one that ignores case.
        secret: the API key, which the caller must not see.
    """
    words = server_words(document, secret)
    if status in BUSY:
        return _busy(status, headers)
    if status >= 500:
        return ServerTrouble(f"status {status}", Kind.BROKEN, _busy(status, headers), was_there=True, words=words)
    if status in _REFUSED_US or status < 400:
        reason = f"status {status}" if status >= 400 else f"status {status}, a redirect to elsewhere"
        return ServerTrouble(reason, Kind.REFUSED_US, _rejected(status), words=words)
    if status == 400:
        return ServerTrouble("status 400", Kind.DOUBTFUL, _rejected(status, words), words=words)
    return _rejected(status, words if status in _ABOUT_THE_JOB else "")


def status_of(document: Any) -> int | None:
    """Return the status of an error that came with status 200; None if the document is not an error.

    An error without a status counts as 500.
    """
    if not isinstance(document, dict):
        return None
    error = document.get("error") or (document if document.get("object") == "error" else None)
    if not error:
        return None
    if not isinstance(error, dict):
        return 500
    marks = [error.get(name) for name in ("status_code", "status", "code", "type")]
    return next((status for mark in marks if (status := _status(mark)) is not None), 500)


def _status(mark: Any) -> int | None:
    if isinstance(mark, str):
        mark = int(mark) if mark.isascii() and mark.isdigit() and len(mark) == 3 else _STATUS_OF.get(mark.lower())
    return mark if isinstance(mark, int) and 400 <= mark <= 599 else None


def unreachable(reason: str, kind: Kind = Kind.UNREACHABLE, *, was_there: bool = False) -> ServerTrouble:
    """Trouble with a server that did not respond, with the given reason."""
    otherwise = TryAgain("backend_unreachable", "The model server could not be reached.")
    return ServerTrouble(reason, kind, otherwise, was_there=was_there)


def connection_lost() -> ServerTrouble:
    """Trouble with a connection that broke within the response."""
    return unreachable("connection lost", was_there=True)


def web_page() -> ServerTrouble:
    """Trouble with a server that returned a web page: the base URL lacks its path, or a proxy responded."""
    return ServerTrouble(f"an HTML page instead of JSON; {RIGHT_URL}", Kind.REFUSED_US, invalid_answer())


def invalid_answer() -> JobFailed:
    return JobFailed("backend_invalid_response", "The model server's response is not a chat completion.")


def _busy(status: int, headers: Mapping[str, str] | None) -> TryAgain:
    message = f"The model server responded with status {status}."
    return TryAgain("backend_busy", message, retry_after_seconds(headers or {}))


def _rejected(status: int, words: str = "") -> JobFailed:
    message = f"The model server rejected the job with status {status}"
    return JobFailed("backend_rejected", f"{message}: {words}" if words else f"{message}.")
