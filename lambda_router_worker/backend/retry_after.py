"""The wait that a server requests in its response headers."""

import re
import time
from calendar import timegm
from collections.abc import Mapping
from email.utils import parsedate_tz

from lambda_router_queue.models import MAX_REST_SECONDS

_DAY_SECONDS = 86_400
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{0,15})?|\.\d{1,15}", re.ASCII)


def retry_after_seconds(headers: Mapping[str, str]) -> float:
    """Return the requested wait in seconds, at most MAX_REST_SECONDS; 0 if there is none that can be parsed.

    ``retry-after-ms`` comes from Azure and OpenAI. ``Retry-After`` is a number, which some servers send as a decimal,
    or an HTTP date (RFC 9110 section 10.2.3).
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return min(milliseconds / 1000, MAX_REST_SECONDS)
    value = headers.get("retry-after", "")
    seconds = _number(value)
    if seconds is None:
        seconds = _until(value)
    return min(max(0.0, seconds), MAX_REST_SECONDS)


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text := text.strip()) else None


def _until(date: str) -> float:
    """Return the seconds until a date. RFC 9110 section 5.6.7 puts every date in UTC; impossible zones are ignored."""
    try:
        parts = parsedate_tz(date)
        if parts is None:
            return 0.0
        zone = parts[9] or 0
        moment = timegm((*parts[:6], 0, 0, 0)) - (zone if abs(zone) < _DAY_SECONDS else 0)
    except (ValueError, TypeError, OverflowError):  # an impossible date
        return 0.0
    return moment - time.time()
