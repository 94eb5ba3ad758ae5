"""What is seen to be wrong is taken back, wherever there is a way back."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.release.clock import Clock
from tests.unit.release.fake_function import FakeFunction
from tools.release.live_alias import Traffic
from tools.release.proof import prove
from tools.release.verdict import Look
from tools.stack.findings import Finding, Status

GOOD = Finding("code", ok=True)
WRONG = Finding("code", False, "old", "new", "old code serves", "make apply")
UNSEEN = Finding("code", ok=False, found="AccessDenied", seen=False)


def _proved(function: FakeFunction, before: Traffic | None, *findings: Finding) -> Status:
    return prove(function.live(), before, lambda: findings, Clock().patience())


@pytest.mark.parametrize(
    ("findings", "status", "sent"),
    [
        ([GOOD], Status.OK, []),
        ([WRONG, UNSEEN], Status.TAKEN_BACK, ["version 1, 20% to version 3"]),
        ([UNSEEN], Status.FAILED, []),
    ],
    ids=["well", "wrong", "unseen"],
)
def test_callers_go_back_to_where_they_were_from_what_is_wrong(
    findings: list[Finding], status: Status, sent: list[str]
) -> None:
    function = FakeFunction("2")

    assert _proved(function, Traffic("1", {"3": 0.2}), *findings) is status
    assert function.sent == sent


@pytest.mark.parametrize("before", [None, Traffic("2")], ids=["first release", "same version"])
def test_without_a_way_back_callers_stay(before: Traffic | None) -> None:
    function = FakeFunction("2")

    assert _proved(function, before, WRONG) is Status.DIFFERS
    assert function.sent == []


@pytest.mark.parametrize("before", [None, Traffic("1")], ids=["first release", "later"])
def test_nobody_is_told_to_mend_or_apply_what_could_not_be_looked_at(
    before: Traffic | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _proved(FakeFunction("2"), before, UNSEEN) is Status.FAILED

    said = capsys.readouterr().out
    assert "make verify" in said
    assert "make apply" not in said
    assert ("make rollback" in said) == (before is not None)


def _stopped_after(*findings: Finding) -> Look:
    def look() -> Iterator[Finding]:
        yield from findings
        raise KeyboardInterrupt

    return look


@pytest.mark.parametrize(
    ("look", "sent"),
    [(_stopped_after(GOOD), []), (_stopped_after(UNSEEN), []), (_stopped_after(GOOD, WRONG), ["version 1"])],
    ids=["well so far", "out of reach", "wrong"],
)
def test_a_proof_that_is_stopped_takes_back_what_was_seen_to_be_wrong_by_then(look: Look, sent: list[str]) -> None:
    function = FakeFunction("2")

    with pytest.raises(KeyboardInterrupt):
        prove(function.live(), Traffic("1"), look, Clock().patience())

    assert function.sent == sent


def test_a_proof_that_breaks_takes_nothing_back() -> None:
    def broken() -> Iterable[Finding]:
        raise KeyError("CodeSha256")

    function = FakeFunction("2")

    with pytest.raises(KeyError):
        prove(function.live(), Traffic("1"), broken, Clock().patience())

    assert function.sent == []


class Stuck(FakeFunction):
    """AWS takes no change of the alias."""

    def update_alias(self, *_: Any, **names: Any) -> None:
        raise ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "Rate exceeded"}}, "UpdateAlias")


def test_what_cannot_be_taken_back_is_wrong_and_says_how_to_do_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert _proved(Stuck("2"), Traffic("1"), WRONG) is Status.DIFFERS
    assert "make rollback" in capsys.readouterr().out
