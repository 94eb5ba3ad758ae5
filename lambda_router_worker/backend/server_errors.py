"""A model server's error, as the job's outcome or as trouble of the server."""

from collections.abc import Mapping
from typing import Any

from lambda_router_worker.backend.retry_after import retry_after_seconds
from lambda_router_worker.backend.server_trouble import Kind, ServerTrouble
from lambda_router_worker.backend.server_words import server_words
from lambda_router_worker.outcomes import JobFailed, TryAgain

#: "Not now" rather than "no".
BUSY = frozenset({408, 409, 425, 429})
#: Nothing that another job would change: key, payment, path, model. 407 is a proxy's 401.
_REFUSED_US = frozenset({401, 402, 403, 404, 405, 407, 410})
#: About this job: it is too large, or says what cannot be done. The caller reads the server's words.
_ABOUT_THE_JOB = frozenset({413, 422})

#: What servers write instead of a status into an answer with status 200 (``type`` or ``code`` of the error).
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
    """What an answer of that status means for the job, to be raised.

    Args:
        document: the body, parsed; None where it is no JSON.
        headers: their names in lower case, or any mapping that does not mind.
        secret: the API key, which the caller must not read.
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
    """The status of an error that came with status 200, or None if it is no error. One without any counts as 500."""
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
    """Nobody answered, for that reason."""
    otherwise = TryAgain("backend_unreachable", "The model server could not be reached.")
    return ServerTrouble(reason, kind, otherwise, was_there=was_there)


def connection_lost() -> ServerTrouble:
    """The answer broke off."""
    return unreachable("connection lost", was_there=True)


def web_page() -> ServerTrouble:
    """What a base URL without its path leads to, or a proxy's own page."""
    return ServerTrouble(f"no JSON but a page for people; {RIGHT_URL}", Kind.REFUSED_US, invalid_answer())


def invalid_answer() -> JobFailed:
    return JobFailed("backend_invalid_response", "The model server's answer is not a chat completion.")


def _busy(status: int, headers: Mapping[str, str] | None) -> TryAgain:
    message = f"The model server answered with status {status}."
    return TryAgain("backend_busy", message, retry_after_seconds(headers or {}))


def _rejected(status: int, words: str = "") -> JobFailed:
    message = f"The model server refused the job with status {status}"
    return JobFailed("backend_rejected", f"{message}: {words}" if words else f"{message}.")
