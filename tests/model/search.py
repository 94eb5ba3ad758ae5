"""Histories: all of them, the shortest first; and some by chance."""

import math
import random
import time
from collections.abc import Iterable, Iterator
from itertools import count
from typing import NamedTuple

from tests.model.explorer import Explorer, Found, Node
from tests.model.world import Action, actions


class Report(NamedTuple):
    """What was looked at, and of each promise that was broken the shortest history that breaks it."""

    depth: int
    states: int
    steps: int
    found: dict[str, Found]


def _note(found: dict[str, Found], faults: Iterable[Found]) -> None:
    for fault in faults:
        known = found.setdefault(fault.promise.name, fault)
        if len(fault.node.history()) < len(known.node.history()):
            found[fault.promise.name] = fault


def breadth_first(explorer: Explorer, depth: int, most: int = 1, drains: int = 50, ends: float = math.inf) -> Report:
    """Every state within so many steps; every ``drains``-th goes on to the end. Ends at ``most`` broken promises."""
    frontier, seen, found = [explorer.root()], set[bytes](), dict[str, Found]()
    turn, reached = count(1), 0
    while frontier and reached < min(depth, explorer.scenario.depth):
        reached, following = reached + 1, list[Node]()
        for node in frontier:
            new = list(_new_states(explorer, node, seen, found))
            _note(found, explorer.unlike_once(new))
            for child in new:
                _note(found, explorer.drained(child) if next(turn) % drains == 0 else ())
            following += new
            if len(found) >= most or time.monotonic() > ends:
                return Report(reached, len(seen), explorer.steps, found)
        frontier = following
    return Report(reached, len(seen), explorer.steps, found)


def _new_states(explorer: Explorer, node: Node, seen: set[bytes], found: dict[str, Found]) -> Iterator[Node]:
    for child in explorer.after(node, list(actions(explorer.scenario, node.world, node.sight))):
        _note(found, explorer.faults(child))
        if child.sight is node.sight and child.world == node.world:
            continue
        if (digest := child.digest()) not in seen:
            seen.add(digest)
            yield child


def at_random(explorer: Explorer, seed: int, steps: int = 60) -> Found | None:
    """A history by chance, drained at its end: what it breaks, after the fewest of its steps that do."""
    rng, node = random.Random(seed), explorer.root()
    for _ in range(steps):
        node = explorer.step(node, _drawn(rng, list(actions(explorer.scenario, node.world, node.sight))))
        for fault in (*explorer.faults(node), *explorer.unlike_once([node])):
            return _shrunk(explorer, fault)
    return next(explorer.drained(node), None)


def _drawn(rng: random.Random, choice: list[Action]) -> Action:
    """Callers come more often than the clock jumps; now and then the memory is full."""
    weights = [
        {"jumps": 0.3, "submits": 3.0, "fails over": 0.05, "crash": 0.3}.get(action.verb, 1.0) for action in choice
    ]
    action = rng.choices(choice, weights)[0]
    is_full = rng.random() < 0.05 and not action.how and action.actor not in ("clock", "redis")
    return action._replace(how="full") if is_full and action.verb != "crash" else action


def _shrunk(explorer: Explorer, fault: Found) -> Found:
    """The same without each step that it does not take."""
    chosen = [node.action for node in fault.node.history() if node.action]
    for at in reversed(range(len(chosen) - 1)):
        shorter = _replayed(explorer, chosen[:at] + chosen[at + 1 :], fault)
        if shorter:
            fault, chosen = shorter, [node.action for node in shorter.node.history() if node.action]
    return fault


def _replayed(explorer: Explorer, chosen: list[Action], fault: Found) -> Found | None:
    node = explorer.root()
    for action in chosen:
        possible = [each[:3] for each in actions(explorer.scenario, node.world, node.sight)]
        if action[:3] not in possible:
            return None
        node = explorer.step(node, action)
        faults = [*explorer.faults(node), *explorer.unlike_once([node])]
        if found := next((each for each in faults if each.promise == fault.promise), None):
            return found
    return None
