"""Parsing of a request to the OpenAI API. Its errors name one member, as OpenAI's do."""

import re
from collections.abc import Mapping
from typing import Any

from chalice.app import Request as Received
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from chalicelib.api import request_headers
from chalicelib.api.body import MAX_ERRORS, field_error, json_document
from chalicelib.api.streamed import can_stream
from chalicelib.errors import FieldError, InvalidParameter, MalformedRequest

#: OpenAI's codes, by pydantic's kinds of errors. The others are ``invalid_value``.
_CODES = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}

#: ``starting_after``.
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)

#: Levels of a request. Whoever reads it later takes _DEEPER levels more, which a job and its envelope add.
MAX_NESTING, _DEEPER = 192, 8


def parse_request[Request: BaseModel](
    raw: bytes, content_type: str | None, most_bytes: int, model: type[Request]
) -> Request:
    """Parse a body.

    Raises:
        UnsupportedMediaType, PayloadTooLarge, MalformedRequest, InvalidParameter: the body is rejected.
    """
    document = json_document(raw, content_type, most_bytes)
    _require_shallow(raw)
    if not isinstance(document, dict):
        raise InvalidParameter("The body must be a JSON object.", param=None, code="invalid_type")
    try:
        return model.model_validate(document, strict=True)
    except ValidationError as error:
        raise invalid_parameter(error, document) from None


def stream_wanted(request: Received) -> int | None:
    """Return the number of the last event that a reader of a response has, -1 if none; None if it wants no stream.

    Raises InvalidParameter if the query asks for what is not supported.
    """
    query = request_headers.query_values(request)
    if request.method != "GET" or not can_stream(request):
        _require_harmless(query)
        return None
    stream = query.get("stream", ["false"])
    if stream not in (["true"], ["false"]):
        detail = f"'stream' must be true or false, once; found {', '.join(stream)[:32]!r}."
        raise InvalidParameter(detail, param="stream", code="invalid_value")
    if stream == ["false"]:
        if "starting_after" in query:
            detail = "'starting_after' is the number of an event of a stream: send stream=true with it."
            raise InvalidParameter(detail, param="starting_after", code="invalid_value")
        _require_harmless(query)
        return None
    after = query.pop("starting_after", None)
    _require_harmless({name: values for name, values in query.items() if name != "stream"})
    if after is None:
        return -1
    if len(after) > 1 or not _NUMBER.fullmatch(after[0]):
        detail = f"'starting_after' must be the number of an event; found {after[0][:32]!r}."
        raise InvalidParameter(detail, param="starting_after", code="invalid_value")
    return int(after[0])


def _require_harmless(query: Mapping[str, list[str]]) -> None:
    for name, values in query.items():
        harmless = {"stream": {"false"}, "include_obfuscation": {"false"}}.get(name.removesuffix("[]"), set())
        if not set(values) <= harmless:
            detail = f"{name[:32]!r} is not supported here: omit it."
            raise InvalidParameter(detail, param=name[:32], code="unsupported_parameter")


def _require_shallow(raw: bytes) -> None:
    """Raise MalformedRequest if the body could not be read any more where it is nested deeper, in a record or a job."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_NESTING:
        return
    try:
        from_json(b"[" * _DEEPER + raw + b"]" * _DEEPER)
    except ValueError:
        raise MalformedRequest(f"The body is nested too deep: at most {MAX_NESTING} levels are read.") from None


def invalid_parameter(
    error: ValidationError, document: Any, names: Mapping[str, str] | None = None
) -> InvalidParameter:
    """Return the problem for the faults that pydantic found.

    Args:
        names: where the document was made of a request: that request's members, by the document's.
    """
    faults = error.errors(include_url=False)[:MAX_ERRORS]
    found = [field_error(fault, document, "", "this request") for fault in faults]
    if names is not None:
        found = [each | {"pointer": "/" + names.get(_member(each), names[""])} for each in map(dict, found)]
    param = _param(found[0]["pointer"])
    subject = f"{param!r} " if param else ""
    return InvalidParameter(
        f"{subject}{found[0]['detail']}.",
        param=param or found[0]["detail"].partition(" ")[0],  # of two members that do not fit, the first one
        code=_CODES.get(faults[0]["type"], "invalid_value"),
        errors=found,
    )


def _member(fault: FieldError) -> str:
    """Return the member of a job, or of its ``input``, that a fault is about.

    What pydantic says of the whole input begins with the member's name.
    """
    first = fault["pointer"].removeprefix("/input").lstrip("/").partition("/")[0]
    return first or fault["detail"].partition(" ")[0]


def _param(pointer: str) -> str:
    """Return a pointer as OpenAI writes it: ``input[0].content``."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    return "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in steps).removeprefix(".")
