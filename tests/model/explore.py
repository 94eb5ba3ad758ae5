"""``python -m tests.model.explore``: every order of steps, and histories by chance, on a Valkey whose clock is moved.

Ends with a table of what was looked at; with status 1 if a promise was broken, and the shortest history that breaks it.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from typing import NamedTuple

from tests.model.explorer import Explorer
from tests.model.scenarios import ALL, CHANCE
from tests.model.search import at_random, breadth_first
from tests.model.seeded import FAULTS, MOST_SECONDS, Fault, hunt
from tests.model.server import Server, moved_server
from tests.model.world import Scenario


class Row(NamedTuple):
    """What was looked at, and the histories that break a promise."""

    what: str
    found: list[str]
    steps: int
    states: int = 0
    histories: int = 0
    calls: int = 0


def in_order(scenario: Scenario, depth: int, server: Server) -> Row:
    """Every history of that scenario's steps, the shortest first."""
    explorer = Explorer(server, scenario)
    *_, last = islice(breadth_first(explorer), depth)
    return Row(scenario.name, [*map(str, last.found)], last.depth, last.states, calls=explorer.steps)


def by_chance(scenario: Scenario, seconds: float, server: Server) -> Row:
    """Histories by chance, for so long or until one breaks a promise."""
    explorer, ends, seed, found = Explorer(server, scenario), time.monotonic() + seconds, 0, list[str]()
    while not found and time.monotonic() < ends:
        fault, seed = at_random(explorer, seed), seed + 1
        found += [f"seed {seed - 1}: {fault}"] if fault else []
    return Row(f"by chance: {scenario.name}", found, 60, histories=seed, calls=explorer.steps)


def with_a_fault(fault: Fault, server: Server) -> Row:
    """One fault put into the scripts, which has to be found."""
    found, what = hunt(server, fault), f"{fault.script}: {fault.old[:60]!r}"
    if found:
        return Row(f"{what} found: {found.promise}", [], len(found.history))
    lost = [] if fault.shown_by else [f"{what} was not found in {MOST_SECONDS:.0f} s"]
    return Row(f"{what} not found; {fault.shown_by or 'no test shows it'}", lost, 0)


def _run(share: Callable[[Server], Row]) -> tuple[Row, float]:
    began = time.monotonic()
    with moved_server() as server:
        return share(server), time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model.explore", description=__doc__)
    parser.add_argument("--depth", type=int, default=10, help="steps at most; each scenario has its own, too")
    parser.add_argument("--minutes", type=float, default=20, help="of histories by chance, all in all")
    parser.add_argument("--faults", type=int, default=len(FAULTS), help="to put into the scripts and find")
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60 / len(CHANCE)
    shares = [partial(in_order, scenario, arguments.depth) for scenario in reversed(ALL)]  # the longest first
    shares += [partial(by_chance, scenario, seconds) for scenario in CHANCE]
    shares += [partial(with_a_fault, fault) for fault in FAULTS[: arguments.faults]]
    sys.stdout.write("steps   states histories     calls seconds\n")
    failed = False
    with ProcessPoolExecutor(os.process_cpu_count()) as pool:
        for (what, found, *counts), taken in pool.map(_run, shares):
            numbers = "{:>3} {:>9,} {:>9,} {:>11,} {:>7,.0f}".format(*counts, taken)
            sys.stdout.write("\n".join([f"{numbers}  {what}", *found, ""]))
            sys.stdout.flush()
            failed = failed or bool(found)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
