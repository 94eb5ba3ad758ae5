"""docs/redis.md, "Where Redis lives", beside the price list and the modules."""

import re
from typing import get_args

from tests.contract.repository import ROOT, page
from tools.cost.homes import HOMES
from tools.cost.prices import load
from tools.cost.usage import Home

#: The row of each home, by what names it there.
_ROWS = {"valkey": "A small instance of your own", "elasticache": "ElastiCache nodes", "hosted": "A hosted one"}


def _rows() -> dict[str, list[str]]:
    rows = [line.strip("| ").split(" | ") for line in page("docs/redis.md").splitlines() if line.startswith("| **")]
    return {home: next(row for row in rows if name in row[0]) for home, name in _ROWS.items()}


def test_every_home_that_has_a_price_has_a_row() -> None:
    assert set(_ROWS) == {home for home in get_args(Home.__value__) if HOMES[home]}
    assert {len(row) for row in _rows().values()} == {6}


def test_the_prices_are_those_of_the_price_list_with_the_day_they_were_read() -> None:
    prices = load()
    for home, row in _rows().items():
        total = sum(prices[part.price].of(part.quantity) for part in HOMES[home])
        figure, day = re.search(r"^([\d.]+), .*?(\d{4}-\d\d-\d\d)$", row[4]).groups()  # type: ignore[union-attr]
        assert float(figure) == round(total, 2), home
        assert day in {str(prices[part.price].read) for part in HOMES[home]}, home


def test_every_row_has_commands() -> None:
    for row in _rows().values():
        (link, *_) = re.findall(r"\]\(([^)]+)\)", row[5])
        assert link.startswith("#") or (ROOT / "docs" / link).exists()
