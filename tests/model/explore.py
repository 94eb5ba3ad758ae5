"""``python -m tests.model.explore``: every order of steps, and histories by chance, on a Valkey whose clock is moved.

Ends with a table of what was looked at; with status 1 if a promise was broken, and the shortest history that breaks it.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

from tests.model import scenarios, seeded
from tests.model.explorer import Explorer
from tests.model.search import at_random, breadth_first
from tests.model.server import moved_server


class Row(NamedTuple):
    """What was looked at, and the histories that break a promise."""

    what: str
    depth: str
    states: int
    histories: int
    calls: int
    seconds: float
    found: list[str]


def in_order(name: str, depth: int) -> Row:
    """Every history of that scenario's steps, the shortest first."""
    (scenario,) = (scenario for scenario in scenarios.ALL if scenario.name == name)
    began = time.monotonic()
    with moved_server() as server:
        report = breadth_first(Explorer(server, scenario), depth)
    seconds = time.monotonic() - began
    return Row(name, str(report.depth), report.states, 0, report.steps, seconds, [*map(str, report.found.values())])


def by_chance(name: str, seconds: float) -> Row:
    """Histories by chance, for so long or until one breaks a promise."""
    (scenario,) = (scenario for scenario in scenarios.CHANCE if scenario.name == name)
    began, seed, found = time.monotonic(), 0, list[str]()
    with moved_server() as server:
        explorer = Explorer(server, scenario)
        while not found and time.monotonic() - began < seconds:
            fault, seed = at_random(explorer, seed), seed + 1
            found += [] if fault is None else [f"seed {seed - 1}: {fault}"]
    return Row(f"by chance: {name}", "60", 0, seed, explorer.steps, time.monotonic() - began, found)


def with_a_fault(place: int) -> Row:
    """One fault put into the scripts, which has to be found."""
    fault, began = seeded.FAULTS[place], time.monotonic()
    with moved_server() as server:
        found = seeded.hunt(server, fault)
    what = f"{fault.script}: {fault.old[:60]!r}"
    by = f"found: {found.promise.name}" if found else f"not found; {fault.shown_by or 'no test shows it'}"
    steps = len(found.node.history()) if found else 0
    lost = [] if found or fault.shown_by else [f"{what} was not found in {seeded.MOST_SECONDS:.0f} s"]
    return Row(f"{what} {by}", str(steps), 0, 0, 0, time.monotonic() - began, lost)


def _rows(depth: int, seconds: float, faults: int) -> Iterator[Row]:
    shares = [partial(in_order, scenario.name, depth) for scenario in scenarios.ALL]
    shares += [partial(by_chance, scenario.name, seconds / len(scenarios.CHANCE)) for scenario in scenarios.CHANCE]
    shares += [partial(with_a_fault, place) for place in range(len(seeded.FAULTS))][:faults]
    with ProcessPoolExecutor(os.process_cpu_count()) as pool:
        yield from (future.result() for future in [pool.submit(share) for share in shares])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model.explore", description=__doc__)
    parser.add_argument("--depth", type=int, default=10, help="steps at most; each scenario has its own, too")
    parser.add_argument("--minutes", type=float, default=20, help="of histories by chance, all in all")
    parser.add_argument("--faults", type=int, default=len(seeded.FAULTS), help="to put into the scripts and find")
    arguments = parser.parse_args()
    sys.stdout.write("steps   states histories     calls seconds\n")
    failed = False
    for row in _rows(arguments.depth, arguments.minutes * 60, arguments.faults):
        told = "".join(f"{each}\n" for each in row.found)
        counts = f"{row.depth:>3} {row.states:>9,} {row.histories:>9,} {row.calls:>11,} {row.seconds:>7,.0f}"
        sys.stdout.write(f"{counts}  {row.what}\n{told}")
        sys.stdout.flush()
        failed = failed or bool(row.found)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
