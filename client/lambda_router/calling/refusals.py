"""Answers that are no success, as one error: title, detail, what to do, and the request's id for the owner's log."""

from collections.abc import Mapping
from typing import Any

from lambda_router.calling.terminal import one_line
from lambda_router.errors import BadServer, KitError, LoginRefused, ServerAway
from lambda_router.http import object_in
from lambda_router.servers import Server

_LONGEST = 600


class CallRefused(KitError):
    """The server refused a call.

    Attributes:
        code: ``error.code`` of the OpenAI API, empty without one.
        param: the member or parameter at fault, empty without one.
        retry_after: seconds until the same may succeed, None if the server does not say.
    """

    def __init__(
        self, message: str, status: int, code: str = "", param: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.retry_after = status, code, param, retry_after
        if status in {401, 403}:
            self.exit_status = LoginRefused.exit_status
        elif self.is_passing:
            self.exit_status = ServerAway.exit_status

    @property
    def is_passing(self) -> bool:
        """Whether the same call may succeed later."""
        return self.status == 429 or self.status >= 500


def refusal(server: Server, status: int, headers: Mapping[str, str], content: bytes) -> KitError:
    """Return the error for an answer with a status of 300 or above: problem+json, OpenAI's form, or API Gateway's."""
    if status < 400:
        return BadServer(f"{server.url} redirects, which is not followed: use the address that it leads to")
    body = object_in(content) or {}
    error = body.get("error")
    inner: dict[str, Any] = error if isinstance(error, dict) else {}
    title = _text(body.get("title")) or f"status {status}"
    detail = _text(body.get("detail")) or _text(inner.get("message")) or _text(body.get("message"))
    request = _text(headers.get("x-request-id")) or _text(body.get("instance"))
    after = seconds_in(headers.get("retry-after"))
    parts = [f"{title}: {detail}" if detail else title, _advice(server, status, after)]
    return CallRefused(
        " ".join(filter(None, parts)) + (f" (request {request})" if request else ""),
        status,
        _text(inner.get("code")),
        _text(inner.get("param")),
        after,
    )


def seconds_in(text: str | None) -> float | None:
    """Return the seconds in a ``Retry-After``, at most five minutes; None if there is no whole number in it."""
    stripped = (text or "").strip()
    return min(float(stripped), 300.0) if stripped.isascii() and stripped.isdigit() and len(stripped) < 9 else None


def _advice(server: Server, status: int, after: float | None) -> str:
    if status == 401:
        return f"Run lambda-router login {server.url}"
    if status == 403:
        return "Ask the server's owner for the scope."
    if (status == 429 or status >= 500) and after is not None:
        return f"Try again in {after:.0f} s."
    return ""


def _text(found: object) -> str:
    return one_line(found, _LONGEST) if isinstance(found, str) else ""
