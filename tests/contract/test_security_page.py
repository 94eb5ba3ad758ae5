"""The security page names the tests that show what it says, and the commands that measure it."""

import re

import pytest

from tests.contract.repository import ROOT, code_spans, page

PAGE = page("docs/security.md")
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))


def section(heading: str) -> list[list[str]]:
    """The cells of the rows of the first table below a heading."""
    lines = PAGE.split(f"\n{heading}\n")[1].split("\n#")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


def test_every_test_that_the_page_names_exists() -> None:
    file = ""
    missing = []
    for span in code_spans(PAGE):
        if found := re.fullmatch(r"(tests/[\w/]+\.py)?::(test_\w+)", span):
            file = found[1] or file
            if f"def {found[2]}(" not in (ROOT / file).read_text():
                missing.append(span)

    assert not missing


def test_the_owasp_table_has_ten_rows_with_a_test_each() -> None:
    rows = section("## OWASP API Security Top 10, 2023")

    assert [row[0].split()[0] for row in rows] == [f"API{number}" for number in range(1, 11)]
    assert all(re.search(r"`tests/[\w/]+/test_\w+\.py::test_\w+`", row[-1]) for row in rows)


def test_every_row_of_the_threat_table_has_a_figure_and_a_command_that_there_is() -> None:
    rows = section("## What must hold, and what was measured")
    commands = [row[-1] for row in rows]

    assert len(rows) >= 14
    assert all(row[3] for row in rows)
    for command in commands:
        targets = re.findall(r"`make ([a-z-]+)`", command)
        files = re.findall(r"tests/[\w/]+\.py", command)
        assert command == "the same" or targets or files, command
        assert set(targets) <= MAKE_TARGETS, f"the Makefile has no target {targets}"
        assert all((ROOT / file).is_file() for file in files), command


@pytest.mark.parametrize("heading", ["### Beside other verifiers", "### Mutants"])
def test_every_exception_has_a_reason(heading: str) -> None:
    rows = section(heading)

    assert rows
    assert all(len(row[-1]) >= 8 for row in rows)
