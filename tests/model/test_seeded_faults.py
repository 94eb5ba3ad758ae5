"""The explorer is able to fail: faults put into the scripts are found. `make explore` tries all of them."""

import re

import pytest

from tests.contract.repository import ROOT, page
from tests.model import product, scenarios
from tests.model.seeded import FAULTS, Fault, hunt
from tests.model.server import Server

#: Found in no time.
_QUICK = [
    fault
    for fault in FAULTS
    if fault.old.startswith(("count_waiting", "redis.call('ZREM', keys.open", "if keyed", "record.owner"))
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.script}: {fault.old[:40]}")
def test_a_fault_stands_for_text_of_its_script(fault: Fault) -> None:
    assert product.LUA[fault.script].count(fault.old) == 1
    file, _, name = fault.shown_by.partition("::")
    assert not file or f"def {name}(" in (ROOT / file).read_text()


def test_there_are_enough_of_them() -> None:
    assert len(FAULTS) >= 30
    assert len([fault for fault in FAULTS if fault.shown_by]) <= 2


@pytest.mark.parametrize("fault", _QUICK, ids=lambda fault: fault.script)
def test_a_fault_is_found(server: Server, fault: Fault) -> None:
    assert hunt(server, fault) is not None


def test_the_page_has_the_figures_of_each_scenario() -> None:
    section = page("docs/reliability.md").partition("## Every order of steps\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([a-z ]+) \| ", section, re.MULTILINE)

    assert rows == [scenario.name for scenario in (*scenarios.ALL, *scenarios.CHANCE)]
