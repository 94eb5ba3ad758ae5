"""Figures beside their goals, and the statistics that all benchmarks share.

Other load on the machine slows everything down. So the compared programs take turns, and the result is the median over
all turns of the ratio within a turn.
"""

import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True)
class Row:
    """One row of a table; ``met`` is None if there is no goal."""

    figure: str
    measured: str
    goal: str = ""
    met: bool | None = None

    def cells(self) -> list[str]:
        verdict = {None: "", True: "met", False: "**missed**"}[self.met]
        return [self.figure, self.measured, self.goal, verdict]


def at_most(figure: str, value: float, limit: float, unit: str = "") -> Row:
    """Return the row of a figure whose goal is at most ``limit``."""
    return Row(figure, f"{value:.2f}{unit}", f"≤ {limit:.2f}{unit}", value <= limit)


def at_least(figure: str, value: float, limit: float, unit: str = "") -> Row:
    """Return the row of a figure whose goal is at least ``limit``."""
    return Row(figure, f"{value:.2f}{unit}", f"≥ {limit:.2f}{unit}", value >= limit)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of all values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the turn-by-turn ratios of ours to theirs."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def in_turns[Name](names: Sequence[Name], turns: int, measure: Callable[[Name], float]) -> dict[Name, list[float]]:
    """Measure every name once per turn: A B A B, never A A B B."""
    values: dict[Name, list[float]] = {name: [] for name in names}
    for _ in range(turns):
        for name in names:
            values[name].append(measure(name))
    return values


def machine() -> str:
    """Return the date and the machine of a measurement, without naming the host."""
    return f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores, {_processor()}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'} ({platform.machine()})"


def table(title: str, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the table as Markdown."""
    yield f"### {title}\n"
    yield "| Figure | Measured | Goal | |\n| --- | --- | --- | --- |"
    for row in rows:
        yield "| " + " | ".join(row.cells()) + " |"


def show(title: str, rows: Sequence[Row], bars: Mapping[str, float] | None = None, *, keep: bool) -> None:
    """Print the table; with ``keep``, also store it and the chart's bars for ``make bench``."""
    print(machine() + "\n")
    print("\n".join(table(title, rows)) + "\n", flush=True)
    if keep:
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        kept[title] = {"machine": machine(), "rows": [row.cells() for row in rows], "bars": dict(bars or {})}
        RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
