"""The picture of ``lambda-router-worker top``: a queue's figures under the names that ``stats --json`` gives them.

All text from Redis is shown as ``visible`` escapes it, and never read as rich's markup: anybody may have written it.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from rich.console import Group, OverflowMethod, RenderableType
from rich.table import Table
from rich.text import Text

from lambda_router_worker.operations.queue_stats import LivingWorker, PriorityStats, Stats
from lambda_router_worker.terminal import visible

#: Samples of each priority that are kept for its sparkline.
SAMPLES = 120
#: Width from which there is room for sparklines, and for two columns of figures.
WIDE = 64
#: Most characters of a text from Redis that are looked at, and rows that the other parts of the picture take.
_MOST_CHARACTERS = 200
_OTHER_ROWS = 16
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.:-=+*#"


class View:
    """What was heard from a queue so far, as a picture.

    Args:
        title: the queue's name.
        plain: use ASCII only, for a terminal that shows nothing else.
    """

    def __init__(self, title: str, *, plain: bool = False) -> None:
        self._title = title
        self._plain = plain
        self._depth: dict[str, deque[int]] = {}
        self._first: Stats | None = None
        self._last: Stats | None = None
        self._heard_at = 0.0
        self._trouble = ""
        self._odd: set[str] = set()

    def heard(self, stats: Stats, now: float) -> None:
        """Take new figures."""
        for name, one in stats.priorities.items():
            self._depth.setdefault(name, deque(maxlen=SAMPLES)).append(one.waiting)
        self._first = self._first or stats
        self._last, self._heard_at, self._trouble = stats, now, ""

    def lost(self, explanation: str) -> None:
        """Note why there are no new figures."""
        self._trouble = explanation

    def odd(self, field: str) -> None:
        """Note that a field of the queue's figures holds no number."""
        self._odd.add(field)

    def picture(self, width: int, height: int, now: float, late: float) -> RenderableType:
        """Return the picture for a terminal of that size.

        Args:
            late: age in seconds from which the figures are called old.
        """
        age = now - self._heard_at
        parts: list[RenderableType] = [self._head(age if age >= late else None)]
        stats, first = self._last, self._first
        if stats is not None and first is not None:
            wide = width >= WIDE
            codes = self._codes(stats, first, max(2, (height - _OTHER_ROWS) // 2))
            parts += [Text(), self._priorities(stats, width), Text(), self._figures(stats, wide=wide)]
            parts += [Text(), codes] if codes else []
            parts += [Text(), self._workers(stats.living, wide=wide)] if stats.living else []
        return Group(*parts)

    def _head(self, age: float | None) -> RenderableType:
        head = Table.grid(expand=True)
        head.add_column(ratio=1, no_wrap=True)
        head.add_column(justify="right", no_wrap=True)
        head.add_row(Text(self._title, style="bold"), Text("q quits", style="dim"))
        lines: list[RenderableType] = [head]
        if self._trouble:
            lines.append(self._foreign(f"no reply: {self._trouble}", "bold red"))
        if age is not None and self._last is not None:
            lines.append(Text(f"these figures are {span(age)} old", style="yellow"))
        if self._odd:
            lines.append(self._foreign(f"no number: {', '.join(sorted(self._odd))}", "yellow"))
        return Group(*lines)

    def _priorities(self, stats: Stats, width: int) -> Table:
        table = self._table("priority", "waiting", "running", "oldest")
        room = min(SAMPLES, width - 44) if width >= WIDE else 0
        if room:
            table.add_column(Text("waiting lately"), no_wrap=True)
        for name, one in stats.priorities.items():
            bars = [sparkline(self._depth[name], room, _ASCII_BARS if self._plain else _BARS)] if room else []
            table.add_row(*map(Text, [name, *_of_priority(one), *bars]))
        return table

    def _figures(self, stats: Stats, *, wide: bool) -> Table:
        busy = sum(each.running for each in stats.priorities.values())
        rate, service = stats.per_minute, stats.service_seconds
        figures = {
            "scheduled": str(stats.scheduled),
            "dead": str(stats.dead),
            "workers": str(stats.workers),
            "slots": f"{stats.slots} ({busy} running)",
            "completed": str(stats.completed),
            "failed": str(stats.failed),
            "per_minute": "-" if rate is None else f"{rate:g}",
            "service_seconds": "-" if service is None else f"{service:g}",
        }
        cells = [Text(f"{name:<16}{value}", overflow=self._overflow) for name, value in figures.items()]
        grid = Table.grid(padding=(0, 4, 0, 0))
        columns = 2 if wide else 1
        for _ in range(columns):
            grid.add_column(no_wrap=True)
        for place in range(len(cells) // columns):
            grid.add_row(*cells[place :: len(cells) // columns])
        return grid

    def _codes(self, stats: Stats, first: Stats, most: int) -> Table | None:
        """Return failed jobs and dead letters by code: in all, since the command began, and dead now."""
        failed, dead = stats.failed_by_code, stats.dead_by_code
        codes = sorted({*failed, *dead}, key=lambda code: (-failed.get(code, 0) - dead.get(code, 0), code))
        rest = stats.failed - sum(failed.values())
        if not codes and rest <= 0:
            return None
        partly = f" of {stats.dead_counted}" if stats.dead_counted < stats.dead else ""
        table = self._table("code", "failed", "new", f"dead{partly}")
        for code in codes[:most]:
            new = failed.get(code, 0) - first.failed_by_code.get(code, 0)
            table.add_row(self._foreign(code), *_numbers(failed.get(code, 0), new, dead.get(code, 0)))
        if rest > 0:  # counted by workers that do not count codes
            new = rest - (first.failed - sum(first.failed_by_code.values()))
            table.add_row(Text("(code not counted)", style="dim"), *_numbers(rest, new, 0))
        if len(codes) > most:
            table.add_row(Text(f"and {len(codes) - most} more", style="dim"))
        return table

    def _workers(self, living: Sequence[LivingWorker], *, wide: bool) -> Table:
        table = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column(Text("worker"), ratio=3, no_wrap=True, overflow=self._overflow)
        table.add_column(Text("jobs"), justify="right", no_wrap=True)
        if wide:
            table.add_column(Text("seen"), justify="right", no_wrap=True)
        table.add_column(Text("model server"), ratio=4, no_wrap=True, overflow=self._overflow)
        for each in sorted(living, key=lambda one: (one.reason is None, one.consumer)):
            jobs = Text(f"{each.running}/{each.slots}")
            seen = [Text(span(each.silent_seconds))] if wide else []
            state = Text("takes jobs", "green") if each.reason is None else self._foreign(each.reason, "bold red")
            table.add_row(self._foreign(each.consumer), jobs, *seen, state)
        return table

    def _table(self, first: str, *others: str) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column(Text(first), no_wrap=True, overflow=self._overflow)
        for name in others:
            table.add_column(Text(name), justify="right", no_wrap=True, overflow=self._overflow)
        return table

    @property
    def _overflow(self) -> OverflowMethod:
        return "crop" if self._plain else "ellipsis"

    def _foreign(self, text: str, style: str = "") -> Text:
        shown = visible(text[:_MOST_CHARACTERS])
        return Text(shown.encode("ascii", "backslashreplace").decode() if self._plain else shown, style)


def sparkline(samples: Iterable[int], width: int, bars: str = _BARS) -> str:
    """Draw the newest samples, the highest of them as the highest bar; 0 as a blank."""
    newest = list(samples)[-width:]
    highest = max(newest, default=0)
    return "".join(bars[(len(bars) - 1) * one // highest] if one else " " for one in newest)


def span(seconds: float) -> str:
    """Return a duration in words, such as 5.0 s or 12 min."""
    for unit, size, upto in (("min", 60, 100 * 60), ("h", 3600, 48 * 3600)):
        if seconds < 100:
            return f"{seconds:.1f} s"
        if seconds < upto:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def _of_priority(one: PriorityStats) -> list[str]:
    return [str(one.waiting), str(one.running), "-" if one.oldest_seconds is None else span(one.oldest_seconds)]


def _numbers(failed: int, new: int, dead: int) -> list[Text]:
    return [Text(str(failed)), Text(f"+{new}" if new > 0 else "-", "red" if new > 0 else ""), Text(str(dead))]
