"""Parsing of a request's body: bytes → strict JSON → a job request, with a JSON pointer to each rejected field."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from chalicelib.errors import FieldError, InvalidJob, MalformedRequest, PayloadTooLarge, UnsupportedMediaType
from chalicelib.job_settings import BodyLimits
from chalicelib.jobs.job_types import JobType
from chalicelib.strict_json import NotStrictJSON, strict_json
from lambda_router_queue.models import JobRequest

MAX_BATCH_JOBS = 100
#: Errors beyond this number are counted, not listed.
MAX_ERRORS = 32
#: A rejected value is shown to its caller if it is no longer than this.
MAX_ECHO_CHARACTERS = 64

_USUAL = BodyLimits()

type JobTypes = Mapping[str, JobType]


class ParsedJob(NamedTuple):
    """A request that its job type's model accepted."""

    request: JobRequest
    job_type: JobType


def parse_job(raw: bytes, content_type: str | None, job_types: JobTypes, max_bytes: int = _USUAL.job) -> ParsedJob:
    """Parse one job from a body of at most ``max_bytes``.

    Raises:
        UnsupportedMediaType, PayloadTooLarge, MalformedRequest, InvalidJob: the body is rejected.
    """
    return validate_job(json_document(raw, content_type, max_bytes), job_types)


def parse_batch(
    raw: bytes, content_type: str | None, job_types: JobTypes, max_bytes: int = _USUAL.batch
) -> list[ParsedJob | InvalidJob]:
    """Parse a batch from a body of at most ``max_bytes``; each job is accepted or rejected on its own.

    Raises:
        UnsupportedMediaType, PayloadTooLarge, MalformedRequest, InvalidJob: the body as a whole is rejected.
    """
    document = json_document(raw, content_type, max_bytes)
    jobs = document.get("jobs") if isinstance(document, dict) and document.keys() == {"jobs"} else None
    if not isinstance(jobs, list) or not 1 <= len(jobs) <= MAX_BATCH_JOBS:
        detail = f"must list 1 to {MAX_BATCH_JOBS} jobs and be the only member"
        raise InvalidJob("The batch is invalid; see errors.", errors=[_fault("/jobs", detail)])
    return [_verdict(job, job_types, f"/jobs/{place}") for place, job in enumerate(jobs)]


def _verdict(document: Any, job_types: JobTypes, at: str) -> ParsedJob | InvalidJob:
    try:
        return validate_job(document, job_types, at)
    except InvalidJob as problem:
        return problem


def json_document(raw: bytes, content_type: str | None, limit: int) -> Any:
    """Return a body of strict JSON. Raises UnsupportedMediaType, PayloadTooLarge, MalformedRequest."""
    _require_json(content_type)
    if len(raw) > limit:
        raise PayloadTooLarge(f"The body has {len(raw)} bytes; send at most {limit}.")
    try:
        return strict_json(raw)
    except NotStrictJSON as error:
        raise MalformedRequest(f"The body is not valid JSON: {error}.") from None


def validate_job(document: Any, job_types: JobTypes, at: str = "") -> ParsedJob:
    """Validate a job of a parsed document; ``at`` is its pointer within the body.

    Raises:
        InvalidJob: with a JSON pointer to every faulty field.
    """
    job_type = _job_type(document, job_types, at)
    try:
        return ParsedJob(job_type.request_model.model_validate(document, strict=True), job_type)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        errors = [field_error(fault, document, at) for fault in faults[:MAX_ERRORS]]
        more = f" There are {len(faults) - MAX_ERRORS} more." if len(faults) > MAX_ERRORS else ""
        raise InvalidJob(f"The job is invalid; see errors.{more}", errors=errors) from None


def _require_json(content_type: str | None) -> None:
    found = content_type or ""
    essence, _, parameters = found.partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if essence.strip().lower() != "application/json" or charset not in {"", "charset=utf-8"}:
        raise UnsupportedMediaType(
            f"Content-Type is {found[:MAX_ECHO_CHARACTERS]!r}; send 'application/json' in UTF-8."
        )


def _job_type(document: Any, job_types: JobTypes, at: str) -> JobType:
    if not isinstance(document, dict):
        raise InvalidJob("The job must be a JSON object.", errors=[_fault(at, "must be an object")])
    name = document.get("type")
    if isinstance(name, str) and name in job_types:
        return job_types[name]
    detail = f"must be one of {', '.join(sorted(job_types))}{_found(name) if 'type' in document else '; it is missing'}"
    raise InvalidJob("The job is invalid; see errors.", errors=[_fault(f"{at}/type", detail)])


def field_error(fault: Any, document: Any, at: str, of: str = "this job type") -> FieldError:
    """Turn a pydantic error into a pointer and a sentence: what is expected, and what was found."""
    loc = fault["loc"]
    if len(loc) > 1 and loc[-1] == "[key]" and fault["input"] == loc[-2]:
        loc = loc[:-1]  # pydantic's mark for a faulty name, as opposed to its value
    steps = _steps(loc, document, fault["type"] == "missing")
    pointer = at + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return _form_fault(fault, pointer)
    if fault["type"] == "extra_forbidden":
        return _fault(pointer, f"is not a member of {of}; remove it")
    if fault["type"] == "missing":
        return _fault(pointer, "is required")
    return _fault(pointer, message[:1].lower() + message[1:] + _found(fault["input"]))


def _form_fault(fault: Any, pointer: str) -> FieldError:
    """Describe the member that says which form an object has, such as a message's ``role``."""
    name = fault["ctx"]["discriminator"].strip("'")
    value = fault["input"].get(name)
    if fault["type"] == "union_tag_not_found":
        return _fault(f"{pointer}/{name}", "is required")
    return _fault(f"{pointer}/{name}", f"must be one of {fault['ctx']['expected_tags']}{_found(value)}")


def _steps(loc: Sequence[Any], document: Any, is_missing: bool) -> Iterator[Any]:
    """Yield the steps of an error's location that lead through the document.

    The others are tags, by which pydantic says which form of a member it took.
    """
    value = document
    for place, step in enumerate(loc):
        if (isinstance(value, dict) and step in value) or (isinstance(value, list) and isinstance(step, int)):
            value = value[step]
            yield step
        elif is_missing and place == len(loc) - 1:
            yield step


def _fault(pointer: str, detail: str) -> FieldError:
    return {"pointer": pointer, "detail": detail}


def _found(value: Any) -> str:
    """Show the rejected value if it is short enough."""
    if not isinstance(value, str | int | float | bool | None):
        return ""
    shown = json.dumps(value)
    return f"; found {shown}" if len(shown) <= MAX_ECHO_CHARACTERS else ""
