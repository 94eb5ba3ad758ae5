"""A request's bytes → strict JSON → a job request, with a JSON pointer to whatever is refused."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from chalicelib.errors import FieldError, InvalidJob, MalformedRequest, PayloadTooLarge, UnsupportedMediaType
from chalicelib.job_types import JobType
from chalicelib.models import JobRequest
from chalicelib.strict_json import NotStrictJSON, strict_json

MAX_BODY_BYTES = 64 * 1024
#: A refused value is shown back to its caller when it is no longer than this.
MAX_ECHO_CHARACTERS = 64


def parse_job(raw: bytes, content_type: str | None, job_types: Mapping[str, JobType]) -> tuple[JobRequest, JobType]:
    """The job that a request's body describes, and its type.

    Raises:
        UnsupportedMediaType, PayloadTooLarge, MalformedRequest, InvalidJob: the body is refused.
    """
    _require_json(content_type)
    if len(raw) > MAX_BODY_BYTES:
        raise PayloadTooLarge(f"The body has {len(raw)} bytes; send at most {MAX_BODY_BYTES}.")
    try:
        document = strict_json(raw)
    except NotStrictJSON as error:
        raise MalformedRequest(f"The body is not valid JSON: {error}.") from None
    return validate_job(document, job_types)


def validate_job(document: Any, job_types: Mapping[str, JobType]) -> tuple[JobRequest, JobType]:
    """The job that an already parsed document describes.

    Raises:
        InvalidJob: with a JSON pointer to every field at fault.
    """
    job_type = _job_type(document, job_types)
    try:
        return job_type.request_model.model_validate(document, strict=True), job_type
    except ValidationError as error:
        errors = [_field_error(fault) for fault in error.errors(include_url=False, include_context=False)]
        raise InvalidJob("The job is refused; see errors.", errors=errors) from None


def _require_json(content_type: str | None) -> None:
    found = content_type or ""
    essence, _, parameters = found.partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if essence.strip().lower() != "application/json" or charset not in {"", "charset=utf-8"}:
        raise UnsupportedMediaType(
            f"Content-Type is {found[:MAX_ECHO_CHARACTERS]!r}; send 'application/json' in UTF-8."
        )


def _job_type(document: Any, job_types: Mapping[str, JobType]) -> JobType:
    if not isinstance(document, dict):
        raise InvalidJob("The body must be a JSON object.", errors=[_fault("", "must be an object")])
    name = document.get("type")
    if isinstance(name, str) and name in job_types:
        return job_types[name]
    detail = f"must be one of {', '.join(sorted(job_types))}{_found(name) if 'type' in document else '; it is missing'}"
    raise InvalidJob("The job is refused; see errors.", errors=[_fault("/type", detail)])


def _field_error(fault: Any) -> FieldError:
    """A pydantic error as pointer and sentence: field, what is wanted, what was found."""
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in fault["loc"] if part != "[key]")
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        return _fault(pointer, "is not a member of this job type; remove it")
    if fault["type"] == "missing":
        return _fault(pointer, "is required")
    return _fault(pointer, message[:1].lower() + message[1:] + _found(fault["input"]))


def _fault(pointer: str, detail: str) -> FieldError:
    return {"pointer": pointer, "detail": detail}


def _found(value: Any) -> str:
    """The refused value, where it is small enough to be worth showing."""
    if not isinstance(value, str | int | float | bool | None):
        return ""
    shown = json.dumps(value)
    return f"; found {shown}" if len(shown) <= MAX_ECHO_CHARACTERS else ""
