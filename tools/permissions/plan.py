"""The requests to IAM that applying a saved plan will make."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tools.permissions.policy import Request
from tools.permissions.table import KINDS, OWN_TAGS, STATE, Kind, Needs

Json = Mapping[str, Any]

#: The requests, each with its origins: addresses of resources, or the state.
Asking = dict[Request, list[str]]


class UnknownType(Exception):
    """A plan holds a resource type that is missing in ``tools.permissions.table``; the message names it."""


def requests(plan: Json, backend: Json | None) -> Asking:
    """Return the requests to IAM that applying a plan makes, and for which resources.

    Args:
        plan: the output of ``terraform show -json``.
        backend: ``bucket`` and ``key`` of the state; None if it is not in S3.

    Raises:
        UnknownType: the table lacks a type.
    """
    surroundings = _surroundings(plan)
    found: Asking = defaultdict(list)
    for address, values, needs in _changes(plan):
        for request in _filled(needs, surroundings | values):
            found[request].append(address)
    if backend is not None:
        for request in _filled(STATE, surroundings | dict(backend)):
            found[request].append("the state")
    return dict(found)


def _surroundings(plan: Json) -> dict[str, str]:
    """Return partition, region and account, which Terraform read from AWS when it planned."""
    data = {each["type"]: each["values"] for each in _resources(plan["prior_state"]["values"]["root_module"])}
    boundary = plan["variables"].get("permissions_boundary_arn", {}).get("value")
    own = {f"tag_{name}": plan["variables"].get(variable, {}).get("value", "") for name, variable in OWN_TAGS.items()}
    return (
        own
        | {
            "partition": data["aws_partition"]["partition"],
            "region": data["aws_region"]["id"],
            "account": data["aws_caller_identity"]["account_id"],
        }
        | ({"boundary": boundary} if boundary else {})
    )


def _resources(module: Json) -> Iterator[Json]:
    yield from (each for each in module.get("resources", []) if each["mode"] == "data")
    for child in module.get("child_modules", []):
        yield from _resources(child)


def _changes(plan: Json) -> Iterator[tuple[str, dict[str, Any], Needs]]:
    """Yield each change of a resource: its address, its attributes, and what it needs."""
    for each in plan["resource_changes"]:
        actions = set(each["change"]["actions"]) - {"no-op", "read", "forget"}
        if each["mode"] != "managed" or not actions:
            continue
        if each["type"] not in KINDS:
            raise UnknownType(f"{each['address']}: add {each['type']} to tools/permissions/table.py")
        kind, before, after = KINDS[each["type"]], each["change"]["before"] or {}, each["change"]["after"] or {}
        if "delete" in actions:
            yield each["address"], before | _tags(before), kind.delete
        if "create" in actions:
            given = [name for name in kind.given if _is_set(after.get(name))]
            yield each["address"], after | _tags(after), kind.create + kind.read + _of(kind.given, given)
        if "update" in actions:
            unknown = each["change"]["after_unknown"]
            yield each["address"], before | after | _tags(before), _update(kind, before, after, unknown)


def _tags(values: Json) -> dict[str, str]:
    """Return the resource's own tags; none for one without tags, such as a deployment, which has those of its API."""
    if not isinstance(tags := values.get("tags_all"), dict):
        return {}
    return {f"tag_{name}": tags.get(name, "") for name in OWN_TAGS}


def _update(kind: Kind, before: Json, after: Json, unknown: Json) -> Needs:
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name) or unknown.get(name) is True}
    given = {name for name in changed if _is_set(after.get(name)) or unknown.get(name) is True}
    dropped = {name for name in changed if _is_less(before.get(name), after.get(name))}
    return kind.update + kind.read + _of(kind.given, given) + _of(kind.changed, changed) + _of(kind.dropped, dropped)


def _of(needs: Mapping[str, Needs], attributes: Iterable[str]) -> Needs:
    return tuple(need for name in attributes for need in needs.get(name, ()))


def _is_set(value: Any) -> bool:
    """Return whether an attribute has a value; -1 means "no limit of its own"."""
    return value not in (None, "", [], {}, -1)


def _is_less(before: Any, after: Any) -> bool:
    if isinstance(before, dict) and isinstance(after, dict):
        return not before.keys() <= after.keys()
    return _is_set(before) and not _is_set(after)


def _filled(needs: Needs, values: Json) -> Iterator[Request]:
    for need in needs:
        context = {key: _fill(text, values) for key, text in need.context.items() if _known(text, values)}
        yield Request(need.action, _fill(need.resource, values), context)


def _known(text: str, values: Json) -> bool:
    return all(values.get(name) for name in re.findall(r"\{(\w+)\}", text))


def _fill(text: str, values: Json) -> str:
    """Fill in the known values; what is known only after creation stays a placeholder."""
    return re.sub(r"\{(\w+)\}", lambda name: str(values.get(name[1]) or name[0]), text)
