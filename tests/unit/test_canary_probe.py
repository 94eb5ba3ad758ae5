"""``tools/canary_probe.py``: when callers are taken back to the version before, and when they are not."""

from collections.abc import Callable, Iterator

import pytest

from tools.canary_probe import canary
from tools.findings import Finding, Status

GOOD = Finding("GET /health", ok=True, found="200")
BAD = Finding("GET /health", False, "500", "200", "the function cannot start", "make rollback")
SILENT = Finding("GET /health", ok=False, found="ConnectTimeout", seen=False)


class Rollback:
    """Counts how often it was asked for."""

    def __init__(self, said: str | None) -> None:
        self.said, self.asked = said, 0

    def __call__(self) -> str | None:
        self.asked += 1
        return self.said


def looks(*found: Finding) -> Callable[[], list[Finding]]:
    """One finding a look, in this order."""
    order: Iterator[Finding] = iter(found)
    return lambda: [next(order)]


@pytest.mark.parametrize(
    ("found", "status", "asked"),
    [
        ((GOOD,), Status.OK, 0),
        ((BAD, GOOD), Status.OK, 0),
        ((BAD, BAD), Status.TAKEN_BACK, 1),
        ((SILENT, BAD), Status.TAKEN_BACK, 1),
        ((BAD, SILENT), Status.FAILED, 0),
        ((SILENT, SILENT), Status.FAILED, 0),
    ],
)
def test_callers_are_taken_back_when_the_last_two_looks_failed_and_an_answer_was_wrong(
    found: tuple[Finding, ...], status: Status, asked: int
) -> None:
    back = Rollback("alias live: from version 8 to version 7.")

    assert canary(looks(*found), back, pause_seconds=0) is status
    assert back.asked == asked


def test_it_says_what_it_saw_and_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    canary(looks(BAD, BAD), Rollback("alias live: from version 8 to version 7."), pause_seconds=0)

    said = capsys.readouterr().out
    assert said.count("WRONG GET /health: 500, wanted 200") == 2
    assert said.endswith("canary: failed twice. alias live: from version 8 to version 7.\n")


def test_a_fault_that_the_version_before_has_too_is_not_rolled_back_again() -> None:
    assert canary(looks(BAD, BAD), Rollback(None), pause_seconds=0) is Status.DIFFERS
