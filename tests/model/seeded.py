"""Faults put into a copy of the scripts: the explorer must be able to fail."""

import time
import tomllib
from itertools import count, cycle, islice
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from tests.model.explorer import Explorer, Found
from tests.model.scenarios import ALL, CHANCE
from tests.model.search import at_random, breadth_first
from tests.model.server import Server

#: A hunt is over after so long.
MOST_SECONDS = 60.0


class Fault(NamedTuple):
    """``old`` stands once in that script and is replaced. ``shown_by``: a test that finds it, where this does not."""

    script: str
    old: str
    new: str
    shown_by: str = ""


FAULTS = [Fault(*fault) for fault in tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["faults"]]


def hunt(server: Server, fault: Fault, seconds: float = MOST_SECONDS) -> Found | None:
    """The history that finds it: by chance for a third of the time, else the next level that is the least work."""
    ends, seeds, took = time.monotonic() + seconds, count(), {True: 0.0, False: 0.0}
    searches = [(1, breadth_first(Explorer(server, scenario, fault[:3]), ends=ends)) for scenario in ALL]
    by_chance = cycle([Explorer(server, scenario, fault[:3]) for scenario in CHANCE])
    found: Found | None = None
    while found is None and (began := time.monotonic()) < ends:
        is_chance = not searches or 2 * took[True] < took[False]
        if is_chance:
            found = at_random(next(by_chance), next(seeds))
        else:
            searches.sort(key=itemgetter(0), reverse=True)
            _, search = searches.pop()
            for level in islice(search, 1):
                found = next(iter(level.found), None)
                searches.append((len(level.frontier), search))
        took[is_chance] += time.monotonic() - began
    return found
