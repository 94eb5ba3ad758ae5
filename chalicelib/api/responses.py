"""Responses with JSON content."""

from typing import Any

from chalice.app import Response

NO_STORE: dict[str, Any] = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a response that no cache may keep."""
    return Response(body, NO_STORE | {"Content-Type": "application/json"} | (headers or {}), status)
