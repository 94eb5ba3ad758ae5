"""tools.gates.mutants: what counts as a survivor, and what the page lists."""

import pytest

from tools.gates.mutants import judge, listed

PAGE = """
| Code | Broken so | Why |
| --- | --- | --- |
| `` a: int | None = 1 `` | `` a: int | None = 2 `` | nobody looks |
""".replace("t | N", r"t \| N")
LISTED = "a: int | None = 1 → a: int | None = 2"


def test_a_listed_change_is_read_from_the_page() -> None:
    assert listed(PAGE) == {LISTED}


def test_a_mutant_that_is_not_listed_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = {"one": "killed", "two": "survived", "three": "timeout"}

    assert judge(verdicts, {LISTED: "two"}, listed(PAGE)) == 0
    assert judge(verdicts, {LISTED: "two", "x → y": "three"}, listed(PAGE)) == 1
    written = capsys.readouterr().out
    assert "3 mutants, 2 killed, 1 survived, 1 of them listed as equivalent" in written
    assert "three (timeout): no test fails\n  x → y\nfix: " in written
