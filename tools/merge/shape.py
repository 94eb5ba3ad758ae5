"""Assertions on what the merge assumes about Chalice's output, made where it is used."""

from collections.abc import Collection, Mapping
from typing import Any

from tools.stack.refusal import UnknownShape

type Json = dict[str, Any]


def demand(place: str, found: object, wanted: object) -> None:
    """Raise UnknownShape unless both are equal."""
    if found != wanted:
        raise UnknownShape(place, found, repr(wanted))


def demand_keys(place: str, found: object, known: Collection[str], needed: Collection[str] = ()) -> None:
    """Raise UnknownShape unless this is an object that has the needed members and no unknown ones."""
    if not isinstance(found, Mapping):
        raise UnknownShape(place, found, "an object")
    if strays := sorted(set(found) - set(known)):
        raise UnknownShape(f"{place}, the member {strays[0]}", found[strays[0]], f"the members {_listed(known)}")
    if missing := sorted(set(needed) - set(found)):
        raise UnknownShape(f"{place}, the member {missing[0]}", None, f"documents that have {_listed(needed)}")


def part(document: Mapping[str, Any], *path: str) -> Any:
    """Return a member, or a member of members.

    Raises:
        UnknownShape: the message names the missing member.
    """
    found: Any = document
    for depth, name in enumerate(path):
        demand_keys(
            ".".join(path[:depth]) or "the document", found, found if isinstance(found, Mapping) else (), (name,)
        )
        found = found[name]
    return found


def replaced(document: Json, value: object, name: str, *deeper: str) -> Json:
    """Return a copy of the document with another member, or member of members."""
    return document | {name: replaced(part(document, name), value, *deeper) if deeper else value}


def without(document: Json, *names: str) -> Json:
    return {name: value for name, value in document.items() if name not in names}


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
