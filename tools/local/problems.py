"""The problem responses that the local gateway and its HTTP server create themselves, in the app's format.

Terraform's gateway responses make the deployed API Gateway do the same.
"""

import json
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from chalicelib import wiring
from chalicelib.api import gateway
from chalicelib.api.streamed import Pieces
from chalicelib.errors import (
    PROBLEM_CONTENT_TYPE,
    InternalError,
    MalformedRequest,
    NotFound,
    PayloadTooLarge,
    Problem,
)

type Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """An HTTP response. The body may be empty, or come in pieces; whether it is sent depends on method and status."""

    status: int
    headers: Headers
    body: bytes | Pieces


def problem_answer(status: int, detail: str = "") -> Answer:
    """Return the problem for this status as a response, with a request id of its own."""
    request_id = str(uuid.uuid4())
    headers = {
        "Content-Type": PROBLEM_CONTENT_TYPE,
        "X-Request-Id": request_id,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    headers |= gateway.fixed_headers(wiring.surface())
    return Answer(status, list(headers.items()), json.dumps(_problem(status, detail, request_id)).encode())


_OURS: tuple[type[Problem], ...] = (MalformedRequest, NotFound, PayloadTooLarge, InternalError)


def _problem(status: int, detail: str, request_id: str) -> dict[str, Any]:
    for kind in _OURS:
        if kind.status == status:
            return kind(detail).to_dict(request_id)
    # RFC 9457 section 4.2.1: a problem that says no more than its status.
    plain = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": int(status), "instance": request_id}
    return plain | ({"detail": detail} if detail else {})
