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

from tests.model import scenarios
from tests.model.explorer import Explorer
from tests.model.search import at_random, breadth_first
from tests.model.server import moved_server


class Row(NamedTuple):
    """What was looked at, and the histories that break a promise."""

    what: str
    depth: str
    states: int
    histories: int
    steps: int
    seconds: float
    found: list[str]


def in_order(name: str, depth: int) -> Row:
    """Every history of that scenario's steps, the shortest first."""
    (scenario,) = (scenario for scenario in scenarios.ALL if scenario.name == name)
    began = time.monotonic()
    with moved_server() as server:
        report = breadth_first(Explorer(server, scenario), min(depth, scenario.depth))
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


def _rows(depth: int, seconds: float) -> Iterator[Row]:
    with ProcessPoolExecutor(os.process_cpu_count()) as pool:
        shares = [partial(in_order, scenario.name, depth) for scenario in scenarios.ALL]
        shares += [partial(by_chance, scenario.name, seconds / len(scenarios.CHANCE)) for scenario in scenarios.CHANCE]
        yield from (future.result() for future in [pool.submit(share) for share in shares])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model.explore", description=__doc__)
    parser.add_argument("--depth", type=int, default=10, help="steps at most; each scenario has its own, too")
    parser.add_argument("--minutes", type=float, default=20, help="of histories by chance, all in all")
    arguments = parser.parse_args()
    failed = False
    for row in _rows(arguments.depth, arguments.minutes * 60):
        line = f"{row.what:30} {row.depth:>5} steps {row.states:>9,} states {row.histories:>7,} histories"
        sys.stdout.write(
            f"{line} {row.steps:>10,} calls {row.seconds:>7.0f} s\n{''.join(f'{each}\n' for each in row.found)}"
        )
        sys.stdout.flush()
        failed = failed or bool(row.found)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
