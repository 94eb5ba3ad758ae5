"""The OpenAPI 3.0 document, generated from the models that validate. Served at ``/openapi.json``."""

from collections.abc import Mapping
from typing import get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import chalicelib
from chalicelib import errors
from chalicelib.errors import PROBLEM_CONTENT_TYPE, Problem
from chalicelib.job_types import JobType
from chalicelib.models import Job, JobPage, Status
from chalicelib.openapi_schema import REF_TEMPLATE, Schema, to_openapi_30

DEFAULT_PAGE, MAX_PAGE = 20, 100
MAX_WAIT_SECONDS = 20

#: Every operation may meet these.
_ALWAYS: tuple[type[Problem], ...] = (errors.NotAcceptable, errors.InternalError, errors.Misconfigured)
_SIGNED_IN = (
    *_ALWAYS,
    errors.Unauthenticated,
    errors.InsufficientScope,
    errors.SigningKeysUnavailable,
    errors.QueueUnavailable,
)


def document(job_types: Mapping[str, JobType], scope: str) -> Schema:
    """The whole document, for these job types and this scope."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Lambda Router",
            "version": chalicelib.__version__,
            "description": "The authenticated front door to a queue of inference jobs.",
            "license": {"name": "MIT", "url": "https://opensource.org/license/mit"},
        },
        "servers": [{"url": "/"}],
        "paths": _paths(job_types),
        "components": {
            "schemas": _schemas(job_types),
            "headers": _HEADERS,
            "securitySchemes": {
                "cognito": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": f"Scope: {scope}",
                }
            },
        },
    }


def _paths(job_types: Mapping[str, JobType]) -> Schema:
    submit = _operation(
        "createJob",
        "Queue a job",
        {
            "202": _ok(
                "Stored. Poll `Location`.",
                "Job",
                ["Location", "Retry-After", "RateLimit", "RateLimit-Policy", "Idempotency-Replayed"],
            )
        },
        (
            *_SIGNED_IN,
            errors.MalformedRequest,
            errors.PayloadTooLarge,
            errors.UnsupportedMediaType,
            errors.InvalidJob,
            errors.IdempotencyKeyReused,
            errors.RateLimited,
            errors.TooManyOpenJobs,
            errors.QueueFull,
        ),
        parameters=[_IDEMPOTENCY_KEY, _TRACEPARENT],
    )
    submit["requestBody"] = {"required": True, "content": _json(_request_schema(job_types))}
    page = _operation(
        "listJobs",
        "Your jobs, newest first",
        {"200": _ok("One page.", "JobPage")},
        (*_SIGNED_IN, errors.MalformedRequest),
        parameters=_PAGE_PARAMETERS,
    )
    look = _operation(
        "getJob",
        "One job; with `Prefer: wait=N` as soon as it is final",
        {
            "200": _ok("The job as it now stands.", "Job", ["ETag", "Preference-Applied"]),
            "304": {"description": "Unchanged since that ETag."},
        },
        (*_SIGNED_IN, errors.NotFound, errors.MalformedRequest),
        parameters=[_PREFER, _IF_NONE_MATCH],
    )
    cancel = _operation(
        "cancelJob",
        "Cancel a job; repeating it changes nothing",
        {"200": _ok("The job as it now stands.", "Job")},
        (*_SIGNED_IN, errors.NotFound),
    )
    secured: Schema = {"security": [{"cognito": []}]}
    return {
        "/health": {
            "get": _operation("health", "Whether the process answers", {"200": _ok("It does.", "Health")}, _ALWAYS)
        },
        "/ready": {
            "get": _operation(
                "ready",
                "Whether what the service depends on answers",
                {"200": _ok("All of it does.", "Readiness"), "503": _ok("Some of it does not.", "Readiness")},
                _ALWAYS,
            )
        },
        "/openapi.json": {
            "get": _operation(
                "openapi",
                "This document",
                {"200": {"description": "OpenAPI 3.0.", "content": _json({"type": "object"})}},
                _ALWAYS,
            )
        },
        "/v1/jobs": {"post": submit | secured, "get": page | secured},
        "/v1/jobs/{job_id}": {"parameters": [_JOB_ID], "get": look | secured, "delete": cancel | secured},
    }


def _operation(
    operation_id: str,
    summary: str,
    answers: Schema,
    problems: tuple[type[Problem], ...],
    parameters: list[Schema] | None = None,
) -> Schema:
    by_status: dict[str, list[str]] = {}
    for problem in problems:
        by_status.setdefault(str(problem.status), []).append(problem.title)
    refusals = {status: _problem(titles) for status, titles in sorted(by_status.items())}
    operation: Schema = {"operationId": operation_id, "summary": summary, "responses": answers | refusals}
    if parameters:
        operation["parameters"] = parameters
    return operation


def _ok(description: str, schema: str, headers: list[str] | None = None) -> Schema:
    names = ["X-Request-Id", *(headers or [])]
    return {"description": description, "content": _json(_ref(schema)), "headers": _header_refs(names)}


def _problem(titles: list[str]) -> Schema:
    return {
        "description": " / ".join(titles),
        "content": {PROBLEM_CONTENT_TYPE: {"schema": _ref("Problem")}},
        "headers": _header_refs(["X-Request-Id"]),
    }


def _header_refs(names: list[str]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _ref(name: str) -> Schema:
    return {"$ref": REF_TEMPLATE.format(model=name)}


def _request_schema(job_types: Mapping[str, JobType]) -> Schema:
    names = {name: job_type.request_model.__name__ for name, job_type in job_types.items()}
    return {
        "oneOf": [_ref(model) for model in names.values()],
        "discriminator": {
            "propertyName": "type",
            "mapping": {name: _ref(model)["$ref"] for name, model in names.items()},
        },
    }


def _schemas(job_types: Mapping[str, JobType]) -> Schema:
    requests: list[type[BaseModel]] = [job_type.request_model for job_type in job_types.values()]
    _, inputs = models_json_schema([(model, "validation") for model in requests], ref_template=REF_TEMPLATE)
    _, outputs = models_json_schema([(model, "serialization") for model in (Job, JobPage)], ref_template=REF_TEMPLATE)
    models: Schema = to_openapi_30(inputs["$defs"] | outputs["$defs"])
    return models | {"Problem": _PROBLEM, "Health": _HEALTH, "Readiness": _READINESS}


_STRING: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer", "minimum": 0}

_PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "instance"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": _STRING,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": _STRING,
        "instance": {"type": "string", "description": "The request id."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": _STRING, "detail": _STRING},
            },
        },
        "violated-policies": {"type": "array", "items": _STRING},
    },
}
_HEALTH: Schema = {
    "type": "object",
    "required": ["status", "version", "function_version"],
    "properties": {
        "status": {"type": "string", "enum": ["ok"]},
        "version": _STRING,
        "function_version": _STRING,
    },
}
_DEPENDENCY: Schema = {
    "type": "object",
    "required": ["ok", "latency_ms"],
    "properties": {"ok": {"type": "boolean"}, "latency_ms": {"type": "number", "minimum": 0}},
}
_READINESS: Schema = {
    "type": "object",
    "required": ["redis", "jwks"],
    "properties": {"redis": _DEPENDENCY, "jwks": _DEPENDENCY},
}

_HEADERS: Schema = {
    name: {"description": description, "schema": schema}
    for name, description, schema in (
        ("X-Request-Id", "Id of this request, in every answer and log line.", _STRING),
        ("Location", "Where the job is.", _STRING),
        ("Retry-After", "Seconds until asking again can be of use.", _WHOLE),
        ("RateLimit-Policy", "Your quota (draft-ietf-httpapi-ratelimit-headers).", _STRING),
        ("RateLimit", "Jobs you may send now (`r`) and seconds until the burst is whole (`t`).", _STRING),
        ("Idempotency-Replayed", "`true` when this key was seen before: no second job was made.", _STRING),
        ("ETag", "Changes when the job changes.", _STRING),
        ("Preference-Applied", "The `wait` that was honoured.", _STRING),
    )
}


def _parameter(place: str, name: str, description: str, schema: Schema, required: bool = False) -> Schema:
    return {"in": place, "name": name, "description": description, "schema": schema, "required": required}


_JOB_ID = _parameter(
    "path",
    "job_id",
    "As `POST /v1/jobs` gave it.",
    {"type": "string", "pattern": "^job_[0-9a-f]{32}$"},
    required=True,
)
_IDEMPOTENCY_KEY = _parameter(
    "header",
    "Idempotency-Key",
    "A quoted string (RFC 8941) or a bare token; the same key gives the same job.",
    {"type": "string", "pattern": r'^([A-Za-z0-9._~:-]{1,255}|"[A-Za-z0-9._~:-]{1,255}")$'},
)
_TRACEPARENT = _parameter("header", "traceparent", "W3C trace context; travels with the job.", _STRING)
_PREFER = _parameter(
    "header",
    "Prefer",
    f"`wait=N`: hold the answer up to N seconds, at most {MAX_WAIT_SECONDS}.",
    {"type": "string", "pattern": r"^wait=\d{1,4}$"},
)
_IF_NONE_MATCH = _parameter("header", "If-None-Match", "An ETag seen before.", _STRING)
_PAGE_PARAMETERS = [
    _parameter(
        "query",
        "limit",
        "Jobs a page.",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE},
    ),
    _parameter("query", "status", "Only jobs in this state.", {"type": "string", "enum": list(get_args(Status))}),
    _parameter("query", "cursor", "`next_cursor` of the page before.", _STRING),
]
