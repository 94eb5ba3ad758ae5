"""A subset of IAM's policy evaluation, sufficient for the policies of a stack like ours.

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. moto has an evaluator
too, but it treats an unmet condition as a denial, and a dot in an ARN as any character.
"""

import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

Statement = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One action on one resource.

    Attributes:
        action: such as ``lambda:GetAlias``.
        resource: its ARN, with ``{name}`` for each part that is unknown before it exists.
        context: condition keys and their values, such as ``iam:PassedToService``.
    """

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Decision:
    allowed: bool
    why: str


def statements(document: Mapping[str, Any]) -> list[Statement]:
    """Return the statements of a policy; a single one may stand without brackets."""
    return _list(document["Statement"])


def decide(policy: Iterable[Statement], request: Request) -> Decision:
    """Decide a request: Deny beats Allow, and what nothing allows is denied."""
    of_it = [each for each in policy if _covers(each, request)]
    for each in of_it:
        if each["Effect"] == "Deny" and _met(each, request, unknown=True):
            return Decision(False, f"denied by statement {each.get('Sid', 'without a Sid')}")
    if any(each["Effect"] == "Allow" and _met(each, request, unknown=False) for each in of_it):
        return Decision(True, "allowed")
    conditions = [json.dumps(each["Condition"], sort_keys=True) for each in of_it if each["Effect"] == "Allow"]
    return Decision(False, f"allowed only if {' or '.join(conditions)}" if conditions else "no statement allows it")


def _covers(statement: Statement, request: Request) -> bool:
    """Return whether the statement applies: an Allow if it may match the unknown parts, a Deny only if it must."""
    if not _element(statement, "Action", request.action, _matches_in_any_case):
        return False
    if statement["Effect"] == "Deny":
        return _element(statement, "Resource", request.resource, _matches)
    return _element(statement, "Resource", re.sub(r"\{\w+\}", _UNKNOWN, request.resource), _may_match)


def _element(statement: Statement, name: str, value: str, matches: Callable[[str, str], bool]) -> bool:
    """Return whether an element covers the value; ``NotAction`` covers what it does not name."""
    if name in statement:
        return any(matches(pattern, value) for pattern in _list(statement[name]))
    return not any(matches(pattern, value) for pattern in _list(statement[f"Not{name}"]))


def _met(statement: Statement, request: Request, *, unknown: bool) -> bool:
    """Return whether all conditions are met; ``unknown`` is the result for operators that are not supported."""
    return all(
        _holds(name, _list(wanted), request.context.get(key), unknown)
        for name, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def _holds(name: str, wanted: list[str], found: str | None, unknown: bool) -> bool:
    """Return whether one condition is met; a request has one value per key here.

    A missing key satisfies the negated operators, those that end with ``IfExists``, and ``ForAllValues``.
    """
    plain = name.removesuffix("IfExists").removeprefix("ForAllValues:")
    if plain not in _OPERATORS:
        return unknown
    if found is None:
        return plain != name or plain == "StringNotEquals"
    combine = all if plain == "StringNotEquals" else any
    return combine(_OPERATORS[plain](each, found) for each in wanted)


def _matches(pattern: str, value: str) -> bool:
    """Return whether a pattern matches: ``*`` is any text, ``?`` one character, everything else itself."""
    return _regex(pattern).fullmatch(value) is not None


def _matches_in_any_case(pattern: str, value: str) -> bool:
    return _matches(pattern.lower(), value.lower())


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


@cache
def _may_match(pattern: str, value: str) -> bool:
    """Return whether the unknown parts of a value can be such that the pattern matches."""
    if pattern.startswith("*"):
        return _may_match(pattern[1:], value) or bool(value and _may_match(pattern, value[1:]))
    if value.startswith(_UNKNOWN):
        return _may_match(pattern, value[1:]) or bool(pattern and _may_match(pattern[1:], value))
    if not pattern or not value:
        return pattern == value
    return pattern[0] in {"?", value[0]} and _may_match(pattern[1:], value[1:])


#: Stands for an unknown part of a value.
_UNKNOWN = "\0"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


#: The supported condition operators. Others never satisfy an Allow, and always satisfy a Deny.
_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": operator.eq,
    "StringNotEquals": operator.ne,
    "StringLike": _matches,
    "ArnEquals": _matches,
    "ArnLike": _matches,
}
