"""Responses with JSON content."""

from typing import Any

from chalice.app import Response

#: Beginnings of the OpenAI API's paths. Their errors have OpenAI's form.
OPENAI_PATHS = ("/v1/models", "/v1/responses", "/v1/chat/")

NO_STORE: dict[str, Any] = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a response that no cache may keep."""
    return Response(body, NO_STORE | {"Content-Type": "application/json"} | (headers or {}), status)
