"""Every order of steps, as far as a few seconds go; `make explore` goes further."""

import ast
import inspect
import re
from itertools import islice

import pytest

from tests.contract.repository import page
from tests.model import product, promises, scenarios
from tests.model.explorer import Explorer, Found
from tests.model.search import at_random, breadth_first
from tests.model.server import BEGAN_US, Server, packed
from tests.model.world import Scenario

#: Parts that others begin with, and what only reads; every other script has to be an action.
NO_ACTION = {"record", "life", "lease", "tries", "eviction", "stats", "letters"}
DEPTH = {"one job": 5, "two jobs": 3, "three jobs": 4, "clock": 4}
_RUN: set[str] = set()
_YIELDS = [node.value for node in ast.walk(ast.parse(inspect.getsource(promises))) if isinstance(node, ast.Yield)]
SENTENCES = sorted({each.elts[0].value for each in _YIELDS})  # type: ignore[union-attr]


def test_times_to_live_stream_ids_idle_times_and_time_move_together(server: Server) -> None:
    def ask(*commands: str) -> list[object]:
        return server.ask_all([packed(*command.split()) for command in commands])

    server.at(BEGAN_US)
    ask("FLUSHALL", "SET key value PX 10000", "XGROUP CREATE stream workers 0 MKSTREAM", "XADD stream * id 1")
    ask("XREADGROUP GROUP workers w1 STREAMS stream >")

    for ms, time in ((4_000, "1500000004"), (-2_000, "1499999998")):
        server.at(BEGAN_US + ms * 1000)
        seen = ask("TIME", "PTTL key", "XPENDING stream workers - + 1")
        assert seen == [[time, "0"], 10_000 - ms, [["1500000000000-0", "w1", max(ms, 0), 1]]]

    server.at(BEGAN_US + 5_000_000)
    assert ask("XADD stream * id 2") == ["1500000005000-0"]


@pytest.mark.parametrize("scenario", scenarios.ALL, ids=lambda scenario: scenario.name)
def test_what_the_pages_promise_holds_in_every_order_of_steps(server: Server, scenario: Scenario) -> None:
    explorer = Explorer(server, scenario)

    *_, last = islice(breadth_first(explorer), DEPTH.get(scenario.name, 5))

    _RUN.update(product.SCRIPTS[sha][0] for sha in explorer.scripts)
    assert last.states > 10
    assert _told(last.found) == ""


@pytest.mark.parametrize("scenario", scenarios.CHANCE, ids=lambda scenario: scenario.name)
def test_what_the_pages_promise_holds_in_histories_by_chance(server: Server, scenario: Scenario) -> None:
    explorer = Explorer(server, scenario)

    found = [at_random(explorer, seed, steps=40) for seed in range(2)]

    _RUN.update(product.SCRIPTS[sha][0] for sha in explorer.scripts)
    assert _told(found) == ""


def _told(found: object) -> str:
    return "\n".join(str(fault) for fault in found if isinstance(fault, Found))  # type: ignore[attr-defined]


def test_each_script_is_an_action() -> None:
    if not _RUN:
        pytest.skip("it looks at what the tests before it ran")

    assert set(product.LUA) - NO_ACTION <= _RUN


@pytest.mark.parametrize("promise", SENTENCES)
def test_each_promise_stands_on_its_page(promise: str) -> None:
    name, _, sentence = promise.partition(": ")

    assert sentence in re.sub(r"\s+", " ", page(f"docs/{name}.md"))
