"""``python -m benchmarks.bench_all``: run every benchmark, and report which goals are met.

Writes the tables into ``benchmarks/README.md`` and draws ``benchmarks/chart.svg``. ``--show`` does this with the last
results instead of measuring.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import chart
from benchmarks.figures import RESULTS, Row, table

BENCHMARKS = ("bench_function", "bench_worker", "bench_memory", "bench_depth", "bench_live")
README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_all", description=__doc__)
    parser.add_argument("--show", action="store_true", help="the last results, without measuring")
    if not parser.parse_args().show:
        for name in BENCHMARKS:
            subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(before + BEGIN + "\n" + "\n".join(_results()) + "\n" + END + rest.partition(END)[2])
    chart.main()
    print("\n".join(_summary()))


def _rows() -> Iterator[tuple[str, str, list[Row]]]:
    verdicts = {"": None, "met": True, "**missed**": False}
    for title, kept in json.loads(RESULTS.read_text()).items():
        yield title, kept["machine"], [Row(*cells[:3], verdicts[cells[3]]) for cells in kept["rows"]]


def _results() -> Iterator[str]:
    yield from _summary()
    for title, machine, rows in _rows():
        yield ""
        yield from table(title, rows)
        yield f"\n{machine}."


def _summary() -> Iterator[str]:
    """Yield how many goals are met, then each goal that is missed."""
    judged = [(title, row) for title, _, rows in _rows() for row in rows if row.met is not None]
    missed = [(title, row) for title, row in judged if not row.met]
    yield f"{len(judged) - len(missed)} of {len(judged)} goals are met{':' if missed else '.'}"
    if missed:
        yield ""
    yield from (f"- missed: {title}: {row.figure}: {row.measured}, wanted {row.goal}" for title, row in missed)


if __name__ == "__main__":
    main()
