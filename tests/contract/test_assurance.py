"""``make assurance`` runs what there is, within its time, and ends with the tables."""

import sys
import time

import pytest

from tests.contract.repository import page
from tools.gates import assurance


def test_every_part_is_a_target_of_the_makefile() -> None:
    assert [part for parts in assurance.PARTS for part in parts if f"\n{part}: " not in page("Makefile")] == []


@pytest.mark.parametrize(("name", "heading"), assurance.TABLES.items(), ids=assurance.TABLES)
def test_the_tables_that_it_ends_with_have_rows_of_a_goal_a_figure_and_a_command(name: str, heading: str) -> None:
    rows = list(assurance.table_below(heading, page(name)))

    assert len(rows) > 8
    assert rows[0].endswith("| Goal | Measured | Command |")
    assert {row.replace("\\|", "").count("|") for row in rows} == {6}


@pytest.mark.parametrize(("status", "verdict"), [(0, "passed"), (3, "FAILED")])
def test_a_part_passes_if_its_command_does(status: int, verdict: str) -> None:
    command = [sys.executable, "-S", "-c", f"raise SystemExit({status})"]

    assert assurance.run(command, time.monotonic() + 60)[0] == verdict


def test_a_part_that_does_not_end_in_time_is_cut_short_and_the_next_is_not_run() -> None:
    ends = time.monotonic() + 0.2

    verdict, _ = assurance.run(["sleep", "60"], ends)

    assert verdict.startswith("CUT SHORT")
    assert assurance.run(["sleep", "60"], ends) == ("not run: no time was left", 0.0)
