"""What ``make test`` leaves out is run by another target, and that target by a workflow."""

import re
import shlex
import subprocess
import tomllib
from pathlib import PurePath

import pytest

from tests.contract.repository import ROOT, files, name_of, page, text_of
from tests.contract.workflows import steps

#: Mark, target and workflow of each row.
ROWS = re.findall(
    r"^\| `(\w+)` \| `make ([a-z-]+)`[^|]* \| `(\w+)` \|$",
    page("CONTRIBUTING.md").partition("\n### What `make test` leaves out\n")[2].partition("\n## ")[0],
    re.MULTILINE,
)

each_row = pytest.mark.parametrize(("mark", "target", "workflow"), ROWS, ids=[mark for mark, _, _ in ROWS])


def pytest_words(target: str) -> list[str]:
    """The words behind ``pytest`` in what make would run."""
    dry = ["make", "--dry-run", "--no-print-directory", target]
    lines = subprocess.run(dry, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    (words,) = [shlex.split(line.partition(" -m pytest ")[2]) for line in lines if " -m pytest " in line]
    return words


def files_of(mark: str) -> set[PurePath]:
    """The files that have tests with that mark."""
    return {
        PurePath(name_of(path))
        for path in files(".py")
        if name_of(path).startswith("tests/") and re.search(rf"pytest\.mark\.{mark}\b", text_of(path))
    }


def test_every_mark_that_is_left_out_has_its_row() -> None:
    options = tomllib.loads(page("pyproject.toml"))["tool"]["pytest"]["ini_options"]["addopts"]
    left_out = re.findall(r"not \(?(\w+)", options[options.index("-m") + 1])

    assert sorted(mark for mark, _, _ in ROWS) == sorted(left_out)


@each_row
def test_what_is_left_out_is_run_by_its_target(mark: str, target: str, workflow: str) -> None:
    words = pytest_words(target)
    expression = words[words.index("-m") + 1]
    given = [PurePath(word) for word in words if word.startswith("tests/")] or [PurePath("tests")]

    assert not expression or re.search(rf"(?<!not )\b{mark}\b", expression)
    assert [file for file in files_of(mark) if not any(file.is_relative_to(each) for each in given)] == []


@each_row
def test_its_target_is_a_step_of_its_workflow(mark: str, target: str, workflow: str) -> None:
    assert f"make {target}" in {step.run for step in steps() if step.workflow == workflow}
