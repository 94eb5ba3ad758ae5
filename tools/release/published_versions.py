"""The published versions of a function: what each is, and which of two functions' versions belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


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


def contemporary(number: str, leaders: Sequence[PublishedVersion], followers: Sequence[PublishedVersion]) -> str:
    """Return the version of another function that belongs to a version of the leading one.

    It is the newest that was published before the leader's next version, since an apply publishes the leader's first.
    If the other function has none that is as old, it is its oldest.

    Args:
        number: of the leader's version; ``$LATEST`` counts as the newest.
        leaders: the leader's versions.
        followers: the other function's versions, at least one.
    """
    later = [each for each in leaders if number.isdigit() and each.number > int(number)]
    until = min(later).published_at if later else ""
    as_old = [each for each in followers if not until or each.published_at < until]
    return str(max(as_old).number if as_old else min(followers).number)


def _version(described: dict[str, Any]) -> PublishedVersion:
    return PublishedVersion(
        int(described["Version"]), described["Description"], described["LastModified"], described["CodeSha256"]
    )
