"""``python -m benchmarks.pickup COMMIT``: how soon idle workers start jobs, beside those of a commit.

Workers of both checkouts idle at the same time, each side on a server of its own. Both sides are sent the same job at
the same moment. The figures are the ms from the time at which a job could start to its start, by the server's clock.
One more worker of each checkout runs as users start it, behind a relay that counts its commands. ``--quick`` does
little of each.
"""

import argparse
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import mean, median

from benchmarks.bench_against import ROOT, checked_out
from benchmarks.figures import Row, at_most, show
from benchmarks.pickup.side import Counted, Side, send_to_all

KINDS = ("plain", "delayed", "retried", "given back", "of a dead worker")
#: Numbers of idle workers.
FEW, MANY = 1, 50
#: Jobs of each kind; seconds until all workers idle, and seconds for which the servers' CPU time is measured then.
JOBS, SETTLE_SECONDS, WATCH_SECONDS = 12, 6, 15
#: Most commands that an idle worker may send in a second.
MOST_COMMANDS = 2

type Sides = Mapping[str, Side]


def run(commit: str, *, quick: bool) -> None:
    """Measure and print the comparison with a commit."""
    few, many, jobs = (FEW, 3, 1) if quick else (FEW, MANY, JOBS)
    settle, watch = (1, 2) if quick else (SETTLE_SECONDS, WATCH_SECONDS)
    with checked_out(commit) as base, ExitStack() as resources:
        checkouts = {"base": base, "here": ROOT}
        counted = {name: Counted(checkout, resources) for name, checkout in checkouts.items()}
        sides = {number: _sides(checkouts, number, resources) for number in (few, many)}
        for each in counted.values():
            each.begin()
        time.sleep(settle)
        cpu = _idle_cpu(sides[many], watch)
        with ThreadPoolExecutor() as threads:
            list(threads.map(partial(_send, jobs=jobs), sides.values()))
        rows = [_commands(counted), _cpu_row(cpu, many)]
        for number, each_side in sides.items():
            rows += _late(each_side, number)
    show(f"Idle workers, against {commit}", rows, keep=False)


def _sides(checkouts: Mapping[str, Path], workers: int, resources: ExitStack) -> Sides:
    return {name: Side(checkout, workers, resources) for name, checkout in checkouts.items()}


def _idle_cpu(sides: Sides, seconds: float) -> dict[str, float]:
    """Return the share of a core that each side's server takes."""
    before = {name: side.cpu_seconds() for name, side in sides.items()}
    time.sleep(seconds)
    return {name: (side.cpu_seconds() - before[name]) / seconds for name, side in sides.items()}


def _send(sides: Sides, jobs: int) -> None:
    for kind in KINDS:
        for _ in range(jobs):
            send_to_all(list(sides.values()), kind)


def _commands(counted: Mapping[str, Counted]) -> Row:
    base, here = counted["base"].a_second(), counted["here"].a_second()
    figure = f"commands a second of one idle worker (before: {base:.2f})"
    return at_most(figure, here, MOST_COMMANDS)


def _cpu_row(cpu: Mapping[str, float], workers: int) -> Row:
    base, here = cpu["base"], cpu["here"]
    measured = f"{here:.2%} (before: {base:.2%}), {here / max(base, 1e-9):.2f} of before"
    return Row(f"the server's CPU time while {workers} workers idle, of a core", measured)


def _late(sides: Sides, workers: int) -> Iterator[Row]:
    for kind in KINDS:
        here, base = (sides[name].late_ms[kind] for name in ("here", "base"))
        measured = f"{mean(here):,.0f} / {median(here):,.0f} (before: {mean(base):,.0f} / {median(base):,.0f})"
        yield Row(f"{workers} idle, {kind}: ms until the start, mean / median", measured)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pickup", description=__doc__)
    parser.add_argument("commit", help="what git archive takes: a commit, a tag, HEAD")
    parser.add_argument("--quick", action="store_true", help="little of each")
    asked = parser.parse_args()
    run(asked.commit, quick=asked.quick)


if __name__ == "__main__":
    main()
