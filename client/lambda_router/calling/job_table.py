"""Jobs as a table."""

from collections.abc import Sequence
from typing import Any

from lambda_router.calling.terminal import one_line
from lambda_router.calling.times import seconds_of, span

COLUMNS = ("STATUS", "ID", "AGE", "MODEL", "PLACE")
_COLOURS = {"completed": "green", "in_progress": "cyan", "queued": "yellow", "failed": "red", "expired": "red"}
_LONGEST = 48
_NONE = "-"


def row_of(job: dict[str, Any], now: float) -> tuple[str, ...]:
    """Return a job's cells. Whatever a server sends, each is one line."""
    created = seconds_of(job.get("created_at"))
    cells = (
        job.get("status"),
        job.get("id"),
        None if created is None else span(now - created),
        model_of(job),
        _place(job, now),
    )
    return tuple(one_line(cell, _LONGEST) if cell not in (None, "") else _NONE for cell in cells)


def model_of(job: dict[str, Any]) -> str | None:
    """Return the model that answered; before there is an answer, the queue, which the caller's model selected."""
    result = job.get("result")
    found = result.get("model") if isinstance(result, dict) else None
    return str(found or job.get("queue") or "") or None


def table(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, str]]:
    """Return the lines, each with the colour of its status; the first one has the columns' names."""
    shown = [COLUMNS, *rows]
    widths = [max(len(row[place]) for row in shown) for place in range(len(COLUMNS))]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown)
    return [(line, _COLOURS.get(row[0], "")) for line, row in zip(lines, shown, strict=True)]


def _place(job: dict[str, Any], now: float) -> str | None:
    if job.get("status") != "queued":
        return None
    position, start = job.get("position"), seconds_of(job.get("estimated_start_at"))
    expected = None if start is None else f"in {span(start - now)}"
    return ", ".join(filter(None, [None if position is None else str(position), expected])) or None
