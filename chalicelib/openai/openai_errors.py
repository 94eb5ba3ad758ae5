"""Problems as errors of the OpenAI API.

Both are in one body: ``error`` for OpenAI's clients, and the members of the problem (RFC 9457) beside it.
"""

from typing import Any

from chalicelib import errors
from chalicelib.errors import Problem

#: The longest ``Retry-After`` that OpenAI's JavaScript client obeys.
MAX_RETRY_AFTER_SECONDS = 60

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

#: Codes that clients know. Other problems have their own names.
_CODES: dict[type[Problem], str] = {
    errors.Unauthenticated: "invalid_api_key",
    errors.RateLimited: "rate_limit_exceeded",
}

#: Clients repeat every request that was answered with 429 or 5xx. Of these, none can succeed soon.
_HOPELESS = frozenset({errors.TooMuchStored, errors.JobNotCompleted, errors.Misconfigured, errors.InternalError})


def openai_error(problem: Problem, request_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body and the headers of the response to a request that met this problem."""
    error = {
        "message": problem.detail or problem.title,
        "type": error_type(problem.status),
        "param": getattr(problem, "param", None),
        "code": getattr(problem, "code", None) or error_code(type(problem)),
    }
    return {"error": error} | problem.to_dict(request_id), problem.headers | _retry(problem)


def error_type(status: int) -> str:
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def error_code(kind: type[Problem]) -> str:
    return _CODES.get(kind) or kind.slug().replace("-", "_")


def _retry(problem: Problem) -> dict[str, str]:
    seconds = problem.headers.get("Retry-After")
    headers = {"Retry-After": str(min(int(seconds), MAX_RETRY_AFTER_SECONDS))} if seconds else {}
    if type(problem) in _HOPELESS:
        return headers | {"x-should-retry": "false"}
    if isinstance(problem, errors.StillRunning):
        return headers | {"x-should-retry": "true"}
    return headers
