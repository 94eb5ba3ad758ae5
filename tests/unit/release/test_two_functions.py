"""The alias of the streaming function follows that of the first, to the version that belongs to it."""

from collections.abc import Iterable
from typing import Any

import pytest

from tools.release.live_alias import LiveAlias, Traffic
from tools.release.pruning import prune
from tools.release.published_versions import PublishedVersion, contemporary
from tools.release.releases import as_json, belonging, table
from tools.release.rollback import rollback

#: Days on which a version of the first function, and one of the other right after it, was published.
LEADERS = {1: "01", 2: "02", 3: "04", 4: "05"}
FOLLOWERS = {1: "02", 2: "03", 3: "04", 4: "05"}


def versions(published: dict[int, str], hour: str) -> list[PublishedVersion]:
    return [
        PublishedVersion(number, f"0.1.0+g{number}", f"2026-11-{day}T{hour}:00:00.000+0000", "sha")
        for number, day in published.items()
    ]


class TwoFunctions:
    """Plays the clients of Lambda and SSM, for a function and the one that streams beside it."""

    class exceptions:  # noqa: N801 (boto3's name for it)
        ResourceConflictException = KeyError

    def __init__(self) -> None:
        self.published = {"router": versions(LEADERS, "10"), "router-stream": versions(FOLLOWERS, "11")}
        self.aliases: dict[str, Any] = {"router": Traffic("4"), "router-stream": Traffic("4")}
        self.told: dict[str, str] = {}

    def live(self) -> LiveAlias:
        follower = LiveAlias(self, self, "router-stream", "live", "other")
        return LiveAlias(self, self, "router", "live", "version", follower)

    def get_alias(self, FunctionName: str, **_: str) -> dict[str, Any]:  # noqa: N803
        at = self.aliases[FunctionName]
        return {"FunctionVersion": at.version, "RoutingConfig": {"AdditionalVersionWeights": at.weights}}

    def update_alias(self, FunctionName: str, FunctionVersion: str, RoutingConfig: Any, **_: str) -> None:  # noqa: N803
        self.aliases[FunctionName] = Traffic(FunctionVersion, RoutingConfig["AdditionalVersionWeights"])

    def put_parameter(self, Name: str, Value: str, **_: Any) -> None:  # noqa: N803
        self.told[Name] = Value

    def get_paginator(self, _operation: str) -> "TwoFunctions":
        return self

    def paginate(self, FunctionName: str) -> Iterable[dict[str, Any]]:  # noqa: N803
        yield {
            "Versions": [
                {"Version": str(each.number), "Description": each.build, "LastModified": each.published_at}
                | {"CodeSha256": each.code_sha256}
                for each in self.published[FunctionName]
            ]
        }

    def delete_function(self, FunctionName: str, Qualifier: str) -> None:  # noqa: N803
        self.published[FunctionName] = [each for each in self.published[FunctionName] if str(each.number) != Qualifier]


@pytest.mark.parametrize(
    ("leader", "follower"),
    [("4", "4"), ("3", "3"), ("2", "2"), ("1", "1"), ("$LATEST", "4")],
    ids=["newest", "one before", "the later of two", "older than any", "unpublished"],
)
def test_a_version_belongs_to_the_one_that_was_newest_in_its_time(leader: str, follower: str) -> None:
    assert contemporary(leader, versions(LEADERS, "10"), versions(FOLLOWERS, "11")) == follower


def test_a_rollback_moves_both_aliases_and_tells_both_versions() -> None:
    two = TwoFunctions()

    said = rollback(two.live(), 2)

    assert two.aliases == {"router": Traffic("2"), "router-stream": Traffic("2")}
    assert two.told == {"version": "2", "other": "2"}
    assert said.startswith(
        "alias live: from version 4 to version 2 (0.1.0+g2), and router-stream to version 2. Only the functions"
    )


def test_a_gradual_release_shares_the_requests_of_both() -> None:
    two = TwoFunctions()

    two.live().send(Traffic("3", {"4": 0.1}))

    assert two.aliases["router-stream"] == Traffic("3", {"4": 0.1})


def test_what_did_not_change_in_the_follower_is_not_shared() -> None:
    two = TwoFunctions()
    two.published["router-stream"].pop()

    two.live().send(Traffic("3", {"4": 0.1}))

    assert two.aliases["router-stream"] == Traffic("3")


def test_versions_that_belong_to_a_kept_one_are_kept() -> None:
    two = TwoFunctions()
    days = [f"{day:02}" for day in range(10, 20)]
    two.published["router-stream"] += versions(dict(enumerate(days, start=5)), "11")
    two.aliases["router-stream"] = Traffic("14")

    said = list(prune(two.live()))

    assert [each.number for each in two.published["router"]] == [1, 2, 3, 4]
    assert [each.number for each in two.published["router-stream"]] == [1, 2, 3, 10, 11, 12, 13, 14]
    assert said[-1] == "version 4 of router-stream (0.1.0+g4) deleted: 5 newer ones are kept"


def test_the_list_has_the_version_that_serves_along() -> None:
    two, leaders = TwoFunctions(), versions(LEADERS, "10")

    streaming = belonging(two.live(), leaders)

    assert streaming == {1: "1", 2: "2", 3: "3", 4: "4"}
    head, first, *_ = table(leaders, "live", Traffic("4"), streaming)
    assert (head.split()[:3], first.split()[:3]) == (["version", "stream", "build"], ["1", "1", "0.1.0+g1"])
    assert '"stream_version": "4"' in as_json(leaders, Traffic("4"), streaming)
