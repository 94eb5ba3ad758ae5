"""Times of jobs, and spans in words."""

from datetime import datetime

_STEPS = ((86_400 * 2, 86_400, "d"), (3_600 * 2, 3_600, "h"), (60 * 2, 60, "min"), (0, 1, "s"))


def seconds_of(found: object) -> float | None:
    """Return a time of the API in Unix seconds; None if it is none."""
    if not isinstance(found, str):
        return None
    try:
        # Python 3.10 knows no Z.
        return datetime.fromisoformat(found.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def span(seconds: float) -> str:
    """Return a span such as ``45 s`` or ``3 h``; what is below zero is zero."""
    seconds = max(0.0, seconds)
    size, unit = next((size, unit) for least, size, unit in _STEPS if seconds >= least)
    return f"{int(seconds // size)} {unit}"
