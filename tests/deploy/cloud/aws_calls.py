"""A recorded HTTP request as the operation of an API that it is, by botocore's own models of these APIs."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote

import botocore.session
from botocore.model import OperationModel, ServiceModel

#: Services whose name in signatures is not the one that botocore and IAM know them by.
_NAMES = {"monitoring": "cloudwatch"}


@dataclass(frozen=True)
class Call:
    """One operation and what it was asked for.

    Attributes:
        service: as in IAM's actions.
        operation: its name in the API, such as ``GetAlias``.
        given: parameters by their names in the API, as far as they are text, and whole where the body is JSON.
        method: of HTTP.
        path: of HTTP, escaped.
    """

    service: str
    operation: str
    given: Mapping[str, Any]
    method: str
    path: str


def call(recorded: Mapping[str, str]) -> Call:
    """What a recorded request calls.

    Raises:
        LookupError: no operation of that service is called in this way.
    """
    signed_for = recorded["authorization"].split("/")[3]
    service = _NAMES.get(signed_for, signed_for)
    operation, given = _operation(service, recorded)
    return Call(service, operation, given, recorded["method"], recorded["path"])


def _operation(service: str, recorded: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    if recorded["target"]:
        return recorded["target"].partition(".")[2], json.loads(recorded["body"])
    form = {name: values[0] for name, values in parse_qs(recorded["body"]).items()}
    if "Action" in form:
        return form["Action"], form
    return _of_path(service, recorded)


def _of_path(service: str, recorded: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    query = {name: values[0] for name, values in parse_qs(recorded["query"], keep_blank_values=True).items()}
    named = query.get("x-id")  # SDKs name the operations of S3 that would be hard to tell apart
    for operation in _operations(service):
        if named not in {None, operation.name}:
            continue
        where = operation.http["requestUri"].partition("?")
        asked, pattern = recorded["path"], _pattern(where[0])
        found = pattern.fullmatch(asked) or pattern.fullmatch(f"{asked}/")  # Go's SDK leaves a slash at the end out
        if found and operation.http["method"] == recorded["method"] and set(_fixed(where[2])) <= set(query.items()):
            labels = {name: unquote(value) for name, value in found.groupdict().items()}
            return operation.name, _body(recorded["body"]) | _named(operation, labels | query)
    raise LookupError(f"{service} has no operation for {recorded['method']} {recorded['path']}?{recorded['query']}")


def _body(text: str) -> dict[str, Any]:
    """JSON whole; of Route 53's XML the names of records, which a policy looks at."""
    if text.startswith("<"):
        return {"Names": re.findall(r"<Name>(.*?)</Name>", text)}
    return dict(json.loads(text)) if text else {}


@cache
def _operations(service: str) -> tuple[OperationModel, ...]:
    """Those with the most of a query in their address first: S3 tells many apart by that alone."""
    loaded = botocore.session.get_session().get_component("data_loader").load_service_model(service, "service-2")
    model = ServiceModel(loaded, service)
    found = [model.operation_model(name) for name in model.operation_names]
    return tuple(sorted(found, key=lambda each: len(_fixed(each.http["requestUri"].partition("?")[2])), reverse=True))


def _fixed(query: str) -> list[tuple[str, str]]:
    return [(name, values[0]) for name, values in parse_qs(query, keep_blank_values=True).items()]


@cache
def _pattern(address: str) -> re.Pattern[str]:
    """``/{Bucket}/{Key+}``: a label is one segment, or with ``+`` all the rest."""
    parts = re.split(r"\{(\w+)(\+?)\}", address)
    names = [f"(?P<{name}>{'.+' if rest else '[^/]+'})" for name, rest in zip(parts[1::3], parts[2::3], strict=True)]
    return re.compile("".join(re.escape(text) + name for text, name in zip(parts[::3], [*names, ""], strict=True)))


def _named(operation: OperationModel, sent: Mapping[str, str]) -> dict[str, str]:
    """Labels and query by the names of the parameters that they are."""
    members = operation.input_shape.members if operation.input_shape else {}
    names = {shape.serialization.get("name", name): name for name, shape in members.items()}
    return {names.get(key, key): value for key, value in sent.items()}
