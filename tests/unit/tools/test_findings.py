"""``tools/stack/findings.py``: what checks say, and the status they end with."""

import json

import pytest

from tools.stack.findings import Finding, Status, lines, report, status_of

GOOD = Finding("alias live", ok=True, found="version 7")
BAD = Finding("alias live", False, "version 6", "version 7", "old code serves", "make apply")
UNSEEN = Finding("alias live", ok=False, found="AccessDenied", seen=False)


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        ([], Status.OK),
        ([GOOD], Status.OK),
        ([GOOD, BAD], Status.DIFFERS),
        ([UNSEEN, GOOD], Status.FAILED),
        ([BAD, UNSEEN, GOOD], Status.DIFFERS),
    ],
)
def test_what_was_seen_to_be_wrong_counts_most(findings: list[Finding], status: Status) -> None:
    assert status_of(findings) is status


def test_what_is_wrong_is_said_with_why_and_fix() -> None:
    assert list(lines(BAD)) == [
        "WRONG alias live: version 6, wanted version 7",
        "      why: old code serves",
        "      fix: make apply",
    ]


def test_what_is_well_takes_one_line() -> None:
    assert list(lines(GOOD)) == ["ok    alias live: version 7"]


def test_what_could_not_be_looked_at_is_not_called_wrong() -> None:
    assert list(lines(UNSEEN)) == ["UNSEEN alias live: AccessDenied"]


def test_machines_get_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    status = report([GOOD, BAD], as_json=True)

    said = json.loads(capsys.readouterr().out)
    assert status is Status.DIFFERS
    assert said["status"] == "differs"
    assert [(each["thing"], each["ok"], each["fix"]) for each in said["findings"]] == [
        ("alias live", True, ""),
        ("alias live", False, "make apply"),
    ]


def test_people_get_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert report([GOOD], as_json=False) is Status.OK
    assert capsys.readouterr().out == "ok    alias live: version 7\n"
