"""``python -m tools.gates.assurance``: the long part of the tests, for ``make assurance``.

Ends within ``LIMIT_SECONDS``: a part that is not done by then is terminated and counts as failed. At the end it prints
the tables of ``docs/reliability.md`` and ``docs/security.md``, with the figures of the last full runs.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tools.stack.repository import ROOT

LIMIT_SECONDS = 40 * 60
#: Targets of the Makefile, in order. Those whose figures other load would distort run first and alone; those that do
#: not measure time run side by side.
PARTS = (("overload",), ("soak",), ("faults",), ("mutants", "fuzz", "rehearsals"))
#: Each page, with the heading above its table.
TABLES = {
    "docs/reliability.md": "## What must hold, and what was measured",
    "docs/security.md": "## What must hold, and what was measured",
}


def main() -> int:
    """Run all parts; return 0 if every part passed in time."""
    ends = time.monotonic() + LIMIT_SECONDS
    verdicts = [verdict for parts in PARTS for verdict in side_by_side(parts, ends)]
    print()
    for part, verdict, seconds in verdicts:
        print(f"make {part}: {verdict}, {seconds:.0f} s")
    for page, heading in TABLES.items():
        print(f"\n{page}\n")
        print("\n".join(table_below(heading, (ROOT / page).read_text(encoding="utf-8"))))
    return 0 if all(verdict == "passed" for _, verdict, _ in verdicts) else 1


def side_by_side(parts: Sequence[str], ends: float) -> Iterable[tuple[str, str, float]]:
    """Run these parts side by side; return each with its verdict and seconds."""
    with ThreadPoolExecutor(len(parts)) as pool:
        ran = pool.map(lambda part: run(["make", "--no-print-directory", part], ends), parts)
        return [(part, *verdict) for part, verdict in zip(parts, ran, strict=True)]


def run(command: Sequence[str], ends: float) -> tuple[str, float]:
    """Run one part, at most until ``ends`` (monotonic clock); return its verdict and seconds."""
    began = time.monotonic()
    if began >= ends:
        return "not run: no time was left", 0.0
    print(f"\n{' '.join(command)}", flush=True)
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as process:
        try:
            verdict = "passed" if process.wait(ends - began) == 0 else "FAILED"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            verdict = "CUT SHORT: no time was left"
    return verdict, time.monotonic() - began


def table_below(heading: str, page: str) -> Iterable[str]:
    """Return the lines of the first table below a heading, without the text around it."""
    section = page.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")]


if __name__ == "__main__":
    sys.exit(main())
