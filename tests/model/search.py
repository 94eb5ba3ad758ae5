"""Histories: all of them, the shortest first; and some by chance."""

import random
import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.model.explorer import Explorer, Found, Node
from tests.model.world import Action, actions


class Level(NamedTuple):
    """All histories of so many steps: states so far, those that are new, and what breaks a promise."""

    depth: int
    states: int
    frontier: list[Node]
    found: list[Found]


def breadth_first(explorer: Explorer, drains: int = 50, ends: float = float("inf")) -> Iterator[Level]:
    """Level by level until something is found, or that time; every ``drains``-th new state goes on to the end."""
    frontier, seen = [explorer.root()], set[int]()
    for depth in range(1, explorer.scenario.depth + 1):
        following, found = list[Node](), list[Found]()
        for node in frontier:
            for after, faults in explorer.after(node, actions(explorer.scenario, node.world, node.sight)):
                found += faults
                if after[1:3] != node[1:3] and (digest := after.sight.digest(after.world.pieces())) not in seen:
                    seen.add(digest)
                    following += [after] * (depth < explorer.scenario.depth)  # the last ones are not needed
                    found += explorer.drained(after) if len(seen) % drains == 0 else []
            if found or time.monotonic() > ends:
                break
        yield Level(depth, len(seen), following, found)
        if found or not following:
            return
        frontier = following


def at_random(explorer: Explorer, seed: int, steps: int = 60) -> Found | None:
    """A history by chance, drained at its end: what it breaks, after the fewest of its steps that do."""
    rng, node = random.Random(seed), explorer.root()
    for _ in range(steps):
        node, faults = explorer.step(node, _drawn(rng, actions(explorer.scenario, node.world, node.sight)))
        if faults:
            return _shrunk(explorer, faults[0])
    return next(iter(explorer.drained(node)), None)


def _drawn(rng: random.Random, choice: list[Action]) -> Action:
    """Callers come more often than the clock jumps; now and then the memory is full."""
    weights = {"jumps": 0.3, "submits": 3.0, "failover": 0.05, "crash": 0.3}
    action = rng.choices(choice, [weights.get(action.verb, 1.0) for action in choice])[0]
    return action._replace(full=action.actor not in ("clock", "redis") and rng.random() < 0.05)


def _shrunk(explorer: Explorer, fault: Found) -> Found:
    """The same without each step that it does not take."""
    for at in reversed(range(len(fault.history) - 1)):
        chosen = [action for action, _ in fault.history]
        fault = _replayed(explorer, chosen[:at] + chosen[at + 1 :], fault.promise) or fault
    return fault


def _replayed(explorer: Explorer, chosen: list[Action], promise: str) -> Found | None:
    node = explorer.root()
    for action in chosen:
        if action._replace(full=False) not in actions(explorer.scenario, node.world, node.sight):
            return None
        node, faults = explorer.step(node, action)
        if found := next((each for each in faults if each.promise == promise), None):
            return found
    return None
