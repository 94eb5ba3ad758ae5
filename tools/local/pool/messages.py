"""HTTP requests and responses of the local pool, and the strict reading of their parameters."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
#: Pages of this machine may read what needs no cookie. Cognito allows it, too.
READABLE = {"Access-Control-Allow-Origin": "*"}


@dataclass(frozen=True)
class Request:
    """An HTTP request; ``headers`` has names in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


@dataclass(frozen=True)
class Reply:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Refused(Exception):
    """A request is answered with an OAuth error, in Cognito's form.

    Attributes:
        error: the error's code (RFC 6749 section 5.2).
        detail: a sentence for a person at this machine; Cognito sends none to clients of its token endpoint.
    """

    def __init__(self, error: str, detail: str = "", status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(f"{error}: {detail}")
        self.error, self.detail, self.status = error, detail, status

    def reply(self) -> Reply:
        return json_reply({"error": self.error}, self.status)


def json_reply(body: Any, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a JSON response that pages may read."""
    plain = {"Content-Type": "application/json;charset=UTF-8"}
    return Reply(status, NO_STORE | READABLE | plain | dict(headers or {}), json.dumps(body).encode())


def redirect(url: str) -> Reply:
    return Reply(HTTPStatus.FOUND, NO_STORE | {"Location": url})


def parameters(encoded: str) -> dict[str, str]:
    """Return the parameters; those without a value are left out.

    Raises:
        Refused: one stands twice (RFC 6749 section 3.1), or they are too many.
    """
    try:
        pairs = parse_qsl(encoded, max_num_fields=50)
    except ValueError:
        raise Refused("invalid_request", "there are too many parameters") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("invalid_request", "a parameter stands twice")
    return found
