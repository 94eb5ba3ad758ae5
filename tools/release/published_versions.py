"""The published versions of a function: what each is, and which are kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tools.release.live_alias import LiveAlias, Traffic

#: Enough to go back beyond a bad week. Each takes its share of the region's 75 GB of code (gettingstarted-limits).
KEPT = 5


@dataclass(frozen=True, order=True)
class PublishedVersion:
    """One published version; it never changes.

    Attributes:
        number: Lambda's number, which is never reused.
        build: version and commit, as in ``/health``.
        published_at: in UTC, in Lambda's notation.
        code_sha256: of the zip, in base64, in Lambda's notation.
    """

    number: int
    build: str
    published_at: str
    code_sha256: str


def published_versions(functions: Any, function: str) -> list[PublishedVersion]:
    """Return the versions, newest first.

    Args:
        functions: a client of Lambda.
        function: its name.
    """
    pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=function)
    found = [_version(each) for page in pages for each in page["Versions"] if each["Version"] != "$LATEST"]
    return sorted(found, reverse=True)


def prunable(versions: list[PublishedVersion], traffic: Traffic) -> list[PublishedVersion]:
    """Return all but the newest five and those that serve, whatever their age."""
    newest = sorted(versions, reverse=True)[:KEPT]
    return [each for each in versions if each not in newest and traffic.share(str(each.number)) == 0]


def prune(alias: LiveAlias) -> Iterator[str]:
    """Delete the prunable versions; yield a line for each."""
    for each in prunable(published_versions(alias.functions, alias.function), alias.traffic()):
        try:
            alias.functions.delete_function(FunctionName=alias.function, Qualifier=str(each.number))
        except alias.functions.exceptions.ResourceConflictException:
            yield f"version {each.number} ({each.build}) kept: another alias points to it"
        else:
            yield f"version {each.number} ({each.build}) deleted: {KEPT} newer ones are kept"


def _version(described: dict[str, Any]) -> PublishedVersion:
    return PublishedVersion(
        int(described["Version"]), described["Description"], described["LastModified"], described["CodeSha256"]
    )
