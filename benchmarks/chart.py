"""``python -m benchmarks.chart``: the bars of the last results as ``benchmarks/chart.svg``."""

import html
import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import RESULTS

CHART = Path(__file__).parent / "chart.svg"
ROW, LEFT, WIDTH = 20, 400, 300
OURS = "this project"


def main() -> None:
    kept = json.loads(RESULTS.read_text())
    CHART.write_text(svg({title: table["bars"] for title, table in kept.items() if table["bars"]}))


def svg(groups: dict[str, dict[str, float]]) -> str:
    """One group of bars per table; each group's longest bar is as wide as the chart."""
    lines = list(_lines(groups))
    height = (len(lines) + 1) * ROW
    body = "\n".join(line.replace("Y", str((place + 1) * ROW)) for place, line in enumerate(lines))
    size = f'width="{LEFT + WIDTH + 100}" height="{height}"'
    style = "text{font:12px sans-serif;fill:#222}.title{font-weight:bold}rect{fill:#9aa7b4}.ours{fill:#2563a8}"
    white = '<rect width="100%" height="100%" style="fill:#fff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{style}</style>\n{white}\n{body}\n</svg>\n'


def _lines(groups: dict[str, dict[str, float]]) -> Iterator[str]:
    for title, bars in groups.items():
        yield f'<text class="title" x="10" y="Y">{html.escape(title)}</text>'
        for name, value in bars.items():
            yield _bar(name, value, max(bars[other] for other in bars if _kind(other) == _kind(name)))


def _kind(name: str) -> str:
    return name.partition(":")[0]


def _bar(name: str, value: float, longest: float) -> str:
    ours = ' class="ours"' if OURS in name else ""
    wide = round(WIDTH * value / longest) if longest else 0
    label = f'<text x="{LEFT - 10}" y="Y" text-anchor="end">{html.escape(name)}</text>'
    bar = f'<rect{ours} x="{LEFT}" y="Y" transform="translate(0 -11)" width="{wide}" height="14"/>'
    return f'{label}{bar}<text x="{LEFT + wide + 6}" y="Y">{value:,.0f}</text>'


if __name__ == "__main__":
    main()
