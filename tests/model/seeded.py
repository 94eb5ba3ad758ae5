"""Faults put into a copy of the scripts: the explorer must be able to fail."""

import time
import tomllib
from pathlib import Path
from typing import NamedTuple

from tests.model import product
from tests.model.explorer import Explorer, Found
from tests.model.scenarios import ALL, CHANCE, SMALL
from tests.model.search import at_random, breadth_first
from tests.model.server import Server

_FILE = Path(__file__).with_name("seeded.toml")


class Fault(NamedTuple):
    """``old`` stands once in that script and is replaced. ``shown_by``: a test that finds it, where this does not."""

    script: str
    old: str
    new: str
    shown_by: str = ""

    def changed(self) -> dict[str, str]:
        return {self.script: product.LUA[self.script].replace(self.old, self.new)}


FAULTS = [Fault(*fault) for fault in tomllib.loads(_FILE.read_text())["faults"]]
#: A hunt is over after so long.
MOST_SECONDS = 60.0


def hunt(server: Server, fault: Fault, seconds: float = MOST_SECONDS) -> Found | None:
    """The history that finds it: ever longer ones of each scenario, and some by chance in between."""
    ends, changed = time.monotonic() + seconds, fault.changed()
    explorers = [Explorer(server, scenario, changed) for scenario in ALL]
    by_chance = [Explorer(server, scenario, changed) for scenario in CHANCE]
    for depth in range(3, 9):
        for explorer in explorers:
            longer = 2 if explorer.scenario in SMALL else 0
            for found in breadth_first(explorer, depth + longer, ends=ends).found.values():
                return found
        for seed in range(3 * depth - 9, 3 * depth - 6):
            for explorer in by_chance:
                if time.monotonic() < ends and (chanced := at_random(explorer, seed)):
                    return chanced
    return None
