"""The promises name the tests that show them."""

import re

from tests.contract.repository import ROOT, code_spans, page


def test_every_test_that_the_reliability_page_names_exists() -> None:
    file = ""
    missing = []
    for span in code_spans(page("docs/reliability.md")):
        if found := re.fullmatch(r"(tests/[\w/]+\.py)?::(test_\w+)", span):
            file = found[1] or file
            if f"def {found[2]}(" not in (ROOT / file).read_text():
                missing.append(span)

    assert not missing


def test_every_row_of_the_promise_says_what_shows_it() -> None:
    section = page("docs/reliability.md").split("## What 202 means")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    shown = [row.split(" | ")[-1] for row in rows]

    assert len(rows) >= 7
    assert all("test" in cell for cell in shown)


def test_every_row_of_what_was_measured_has_a_goal_a_figure_and_a_command_that_there_is() -> None:
    section = page("docs/reliability.md").split("## What must hold, and what was measured")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]

    assert len(rows) >= 20
    for _, _, goal, measured, command in rows:
        assert goal
        assert measured
        assert f"\n{command.removeprefix('`make ').rstrip('`')}: " in page("Makefile"), command
