"""Strict parsing of headers and query parameters; an error names the header and the fix."""

import re
import secrets
from typing import Any, cast, get_args

from chalice.app import Request

from chalicelib.errors import MalformedRequest, NotAcceptable
from lambda_router_queue.models import Status

MAX_IDEMPOTENCY_KEY = 255

#: draft-ietf-httpapi-idempotency-key-header-07 requires a Structured Field String; Stripe's and OpenAI's clients send a
#: bare token.
_QUOTED_KEY = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,510})"', re.ASCII)
_BARE_KEY = re.compile(r"[A-Za-z0-9._~:-]{1,255}", re.ASCII)
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_WAIT = re.compile(r"wait\s*=\s*\"?([^\s\";,]*)\"?", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)
_QUALITY_ZERO = re.compile(r"q=0(\.0{0,3})?", re.ASCII | re.IGNORECASE)


def header_values(request: Request, name: str) -> list[str]:
    """Return every value of a header.

    API Gateway's ``headers`` keeps only the last of several values; ``multiValueHeaders`` keeps all of them.

    Args:
        request: Chalice's request.
        name: the header's name, in lower case.
    """
    by_name: dict[str, list[str]] | None = vars(request).get("_headers_by_name")
    if by_name is None:  # built once per request
        by_name = vars(request)["_headers_by_name"] = {}
        event = request.to_original_event()
        many = event.get("multiValueHeaders") or {key: [value] for key, value in (event.get("headers") or {}).items()}
        for key, values in many.items():
            by_name.setdefault(key.lower(), []).extend(values)
    return by_name.get(name, [])


def acceptable(request: Request) -> Request:
    """Return the request. Raises NotAcceptable unless its ``Accept`` allows JSON."""
    require_json_acceptable(header_values(request, "accept"))
    return request


def one_header(request: Request, name: str) -> str | None:
    """Return a header that may occur at most once. Raises MalformedRequest if it is repeated."""
    values = header_values(request, name)
    if len(values) > 1:
        raise MalformedRequest(f"The header {name} was sent {len(values)} times; send it once.")
    return values[0] if values else None


def idempotency_key(value: str | None) -> str | None:
    """Return the key without its quotes, or None if there is none.

    Raises:
        MalformedRequest: neither a quoted string nor a bare token of 1 to 255 characters.
    """
    if value is None:
        return None
    text = value.strip()
    if _BARE_KEY.fullmatch(text):
        return text
    quoted = _QUOTED_KEY.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else ""
    if not 0 < len(key) <= MAX_IDEMPOTENCY_KEY:
        raise MalformedRequest(
            "Idempotency-Key is not usable; send 1 to 255 printable ASCII characters in double quotes, or a bare token "
            "of letters, digits and ._~:-"
        )
    return key


def preferred_wait(values: list[str], limit: int) -> int | None:
    """Return the seconds to wait (RFC 7240 section 4.3), at most ``limit``; None if no wait is requested.

    The first ``wait`` counts. A value that is not a whole number is ignored, like any preference that a server does not
    understand (section 2). ``Preference-Applied`` then omits it.
    """
    for preference in ",".join(values).split(","):
        if (match := _WAIT.fullmatch(preference.strip().split(";")[0].strip())) is not None:
            return min(int(match[1]), limit) if _NUMBER.fullmatch(match[1]) else None
    return None


def traceparent(value: str | None) -> str:
    """Return the caller's W3C trace context, or a new one if it is missing or invalid (Trace Context section 3.2)."""
    if value is not None and _TRACEPARENT.fullmatch(value.strip()):
        return value.strip()
    drawn = secrets.token_hex(24)
    return f"00-{drawn[:32]}-{drawn[32:]}-01"


def require_json_acceptable(values: list[str]) -> None:
    """Raise NotAcceptable unless ``Accept`` allows JSON; its most specific range decides (RFC 9110 section 12.5.1)."""
    if values == ["*/*"]:  # what most clients send
        return
    wishes = dict(_wish(part) for part in ",".join(values).split(",") if part.strip())
    decisive = next((wishes[essence] for essence in _JSON_RANGES if essence in wishes), not wishes)
    if not decisive:
        raise NotAcceptable("Only application/json is served; send 'Accept: application/json' or omit Accept.")


def wants_events(values: list[str]) -> bool:
    """Return whether to respond with server-sent events: unless ``Accept`` names JSON and not them.

    Raises NotAcceptable if it allows neither.
    """
    wishes = dict(_wish(part) for part in ",".join(values).split(",") if part.strip())
    if not wishes or wishes.get(EVENT_STREAM):
        return True
    named = [essence for essence in _JSON_RANGES if essence in wishes and essence != "*/*"]
    is_json = wishes[named[0]] if named else wishes.get("*/*", False)
    if EVENT_STREAM not in wishes and not (named and is_json) and wishes.get("text/*", wishes.get("*/*")):
        return True
    if not is_json:
        raise NotAcceptable(f"Only {EVENT_STREAM} and application/json are served; send one of them or omit Accept.")
    return False


EVENT_STREAM = "text/event-stream"
_JSON_RANGES = ("application/json", "application/problem+json", "application/*", "*/*")


def _wish(media_range: str) -> tuple[str, bool]:
    """Return a media range and whether it is wanted; ``q=0`` means that it is not."""
    essence, *parameters = (part.strip().lower() for part in media_range.split(";"))
    return essence, not any(_QUALITY_ZERO.fullmatch(parameter) for parameter in parameters)


def etag_matches(condition: str | None, etag: str) -> bool:
    """Return whether ``If-None-Match`` names this ETag, compared weakly, or is ``*`` (RFC 9110 section 13.1.2)."""
    named = [part.strip().removeprefix("W/") for part in (condition or "").split(",")]
    return etag.removeprefix("W/") in named or named == ["*"]


def page_size(query: dict[str, Any], default: int, maximum: int) -> int:
    """Return ``limit``. Raises MalformedRequest unless it is a whole number from 1 to ``maximum``."""
    value = query.get("limit", str(default))
    if not _NUMBER.fullmatch(value) or not 1 <= int(value) <= maximum:
        raise MalformedRequest(f"limit is {value[:32]!r}; send a whole number from 1 to {maximum}.")
    return int(value)


def wanted_status(query: dict[str, Any]) -> Status | None:
    """Return ``status``, or None if it is missing. Raises MalformedRequest if it is unknown."""
    value = query.get("status")
    if value is not None and value not in get_args(Status):
        raise MalformedRequest(f"status is {value[:32]!r}; send one of {', '.join(get_args(Status))}.")
    return cast(Status | None, value)


def query_values(request: Request) -> dict[str, list[str]]:
    """Return the query parameters, each with all its values."""
    given = request.query_params
    return {name: given.getlist(name) for name in given} if given else {}


def single_query(request: Request, allowed: frozenset[str]) -> dict[str, str]:
    """Return the query parameters. Raises MalformedRequest if one is unknown or repeated."""
    query: dict[str, str] = {}
    for name, values in query_values(request).items():
        if name not in allowed:
            raise MalformedRequest(
                f"The query parameter {name[:32]!r} is not known; send only {', '.join(sorted(allowed))}."
            )
        if len(values) > 1:
            raise MalformedRequest(f"The query parameter {name} was sent {len(values)} times; send it once.")
        query[name] = values[0]
    return query
