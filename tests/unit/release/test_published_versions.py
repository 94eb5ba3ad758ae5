"""Which versions are kept, and which of them a rollback finds."""

import pytest

from tests.unit.release.fake_function import FakeFunction
from tools.release.live_alias import Traffic
from tools.release.pruning import prunable, prune
from tools.release.published_versions import PublishedVersion, published_versions
from tools.release.rollback import target_of
from tools.stack.options import Refused


def versions(*numbers: int) -> list[PublishedVersion]:
    return [PublishedVersion(number, f"0.1.0+g{number}", "today", "") for number in numbers]


def test_versions_come_newest_first_from_every_page() -> None:
    function = FakeFunction("12", published=12)

    assert [each.number for each in published_versions(function, "router")] == list(range(12, 0, -1))


@pytest.mark.parametrize(
    ("published", "traffic", "gone"),
    [
        ((5, 4, 3, 2, 1), Traffic("5"), []),
        ((6, 5, 4, 3, 2, 1), Traffic("6"), [1]),
        ((12, 11, 10, 9, 8, 3, 2), Traffic("2"), [3]),
        ((12, 11, 10, 9, 8, 3, 2), Traffic("12", {"3": 0.05}), [2]),
    ],
    ids=["five", "six", "an old one serves", "an old one has a share"],
)
def test_the_newest_five_and_those_that_serve_are_kept(
    published: tuple[int, ...], traffic: Traffic, gone: list[int]
) -> None:
    assert [each.number for each in prunable(versions(*published), traffic)] == gone


def test_a_version_of_another_alias_is_kept() -> None:
    function = FakeFunction("7", published=7, in_use="1")

    assert list(prune(function.live())) == [
        "version 2 (0.1.0+g2) deleted: 5 newer ones are kept",
        "version 1 (0.1.0+g1) kept: another alias points to it",
    ]
    assert function.published == ["1", "3", "4", "5", "6", "7"]


@pytest.mark.parametrize(
    ("serving", "wanted", "target"),
    [("12", None, 11), ("11", None, 9), ("9", 12, 12), ("$LATEST", None, 12)],
    ids=["the one before", "the one before a gap", "forward", "from $LATEST"],
)
def test_rollback_finds(serving: str, wanted: int | None, target: int) -> None:
    assert target_of(versions(9, 11, 12), serving, wanted).number == target


def test_rollback_without_any_version_says_so() -> None:
    with pytest.raises(Refused, match=r"^there is no version 3; published versions: none"):
        target_of([], "$LATEST", 3)
