"""What is not as it should be is taken back, wherever there is a way back."""

from collections.abc import Iterator

import pytest

from tests.unit.fake_function import FakeFunction
from tools.findings import Finding, Status
from tools.live_alias import Traffic
from tools.release_proof import prove

GOOD = Finding("code", ok=True)
WRONG = Finding("code", False, "old", "new", "old code serves", "make apply")
UNSEEN = Finding("code", ok=False, found="AccessDenied", seen=False)


@pytest.mark.parametrize(
    ("finding", "status", "sent"),
    [
        (GOOD, Status.OK, []),
        (WRONG, Status.TAKEN_BACK, ["version 1, 20% to version 3"]),
        (UNSEEN, Status.TAKEN_BACK, ["version 1, 20% to version 3"]),
    ],
    ids=["well", "wrong", "unseen"],
)
def test_callers_go_back_to_where_they_were(finding: Finding, status: Status, sent: list[str]) -> None:
    function = FakeFunction("2")

    assert prove(function.live(), Traffic("1", {"3": 0.2}), [finding]) is status
    assert function.sent == sent


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        (None, "there was no version before, so version 2 goes on serving: mend it and apply again"),
        (Traffic("2"), "was at version 2 before, too, so there is nothing to take back"),
    ],
    ids=["first release", "same version"],
)
def test_without_a_way_back_it_is_said(
    before: Traffic | None, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    function = FakeFunction("2")

    assert prove(function.live(), before, [WRONG]) is Status.DIFFERS
    assert function.sent == []
    assert f"alias live: {sentence}\n" in capsys.readouterr().out


def test_a_proof_that_is_cut_off_proves_nothing() -> None:
    def stopped() -> Iterator[Finding]:
        yield GOOD
        raise KeyboardInterrupt

    function = FakeFunction("2")

    with pytest.raises(KeyboardInterrupt):
        prove(function.live(), Traffic("1"), stopped())

    assert function.sent == ["version 1"]
