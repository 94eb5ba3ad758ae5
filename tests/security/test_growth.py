"""No input costs much more than its length: of each kind, four times as much is read in at most five times the CPU."""

import importlib
import pkgutil
import re

import pytest

import chalicelib
import lambda_router_queue
from benchmarks.bench_growth import BOUND, growth
from tests.security.growing import CASES, Case

#: Patterns that no caller's text meets, with whose text they do.
NOT_CALLERS = {
    "troubles._NAME": "Redis's own words",
    "app_clients._CLIENT_ID": "an operator's parameter",
    "url._CONTROL": "an operator's setting",
    "setting_values._MODEL": "an operator's setting",
    "wire._SHORT_STRING": "a length in a reply, bounded",
    "job_pages._SCORE": "a score, as Redis writes numbers",
    "content._FILE_IN_PAGE": "our own pages, once",
    "lua_scripts._DEFINED": "our own scripts', once",
    "lua_scripts._WORD": "our own scripts', once",
    "lua_scripts._COMMENT": "our own scripts', once",
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_four_times_as_much_takes_at_most_five_times_as_long(case: Case) -> None:
    assert growth(case) <= BOUND


def test_every_pattern_that_a_callers_text_meets_has_a_near_miss() -> None:
    modules = [
        importlib.import_module(module.name)
        for package in (chalicelib, lambda_router_queue)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    found: dict[re.Pattern[str], set[str]] = {}  # a pattern has as many names as modules import it
    for module in modules:
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                found.setdefault(value, set()).add(f"{module.__name__.rpartition('.')[2]}.{name}")
    known = {case.covers for case in CASES.values() if case.covers} | NOT_CALLERS.keys()

    assert not [names for names in found.values() if not names & known]
    assert known <= set().union(*found.values())
