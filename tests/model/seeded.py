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
    """The history that finds it: always the next level that is least work, and in between a history by chance."""
    ends, seeds = time.monotonic() + seconds, count()
    searches = [(1, breadth_first(Explorer(server, scenario, fault[:3]), ends=ends)) for scenario in ALL]
    by_chance = cycle([Explorer(server, scenario, fault[:3]) for scenario in CHANCE])
    while time.monotonic() < ends:
        if chanced := at_random(next(by_chance), next(seeds)):
            return chanced
        searches.sort(key=itemgetter(0), reverse=True)
        _, search = searches.pop()
        for level in islice(search, 1):
            if level.found:
                return level.found[0]
            searches.append((len(level.frontier), search))
    return None
