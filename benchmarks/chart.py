"""``python -m benchmarks.chart``: draw the bars of the last results as ``benchmarks/chart.svg``."""

import html
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

from benchmarks.figures import RESULTS

CHART = Path(__file__).parent / "chart.svg"
ROW, LEFT, WIDTH = 20, 280, 300
OURS = "this project"
STYLE = (
    "text{font:12px sans-serif;fill:#222}.title{font-weight:bold}.kind{fill:#555}rect{fill:#9aa7b4}.ours{fill:#2563a8}"
)


def main() -> None:
    kept = json.loads(RESULTS.read_text())
    CHART.write_text(svg({title: table["bars"] for title, table in kept.items() if table["bars"]}))


def svg(groups: dict[str, dict[str, float]]) -> str:
    """Return bars by table and kind (``KIND, UNIT: NAME``) as SVG; each kind's longest bar is as wide as the chart."""
    drawn = [line(ROW * place) for place, line in enumerate(_lines(groups), 1)]
    size = f'width="{LEFT + WIDTH + 100}" height="{ROW * (len(drawn) + 1)}"'
    white = '<rect width="100%" height="100%" style="fill:#fff"/>'
    body = "\n".join(drawn)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{STYLE}</style>\n{white}\n{body}\n</svg>\n'


def _lines(groups: dict[str, dict[str, float]]) -> Iterator[Callable[[int], str]]:
    """Yield a function for each line, which draws the line at a given height."""
    for title, bars in groups.items():
        yield partial(_text, title, 10, "title")
        for kind, named in groupby(bars.items(), key=lambda bar: bar[0].rpartition(": ")[0]):
            yield partial(_text, kind, 20, "kind")
            values = {name.rpartition(": ")[2]: value for name, value in named}
            for name, value in values.items():
                yield partial(_bar, name, value, max(values.values()))


def _text(words: str, x: int, kind: str, y: int) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{html.escape(words)}</text>'


def _bar(name: str, value: float, longest: float, y: int) -> str:
    ours = ' class="ours"' if name == OURS else ""
    wide = round(WIDTH * value / longest) if longest else 0
    label = f'<text x="{LEFT - 10}" y="{y}" text-anchor="end">{html.escape(name)}</text>'
    bar = f'<rect{ours} x="{LEFT}" y="{y - 11}" width="{wide}" height="14"/>'
    return f'{label}{bar}<text x="{LEFT + wide + 6}" y="{y}">{value:,.0f}</text>'


if __name__ == "__main__":
    main()
