"""The OpenAPI 3.1 document, generated from the models that validate requests. Served at ``/openapi.json``."""

from collections.abc import Mapping

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import chalicelib
from chalicelib import errors
from chalicelib.api import openapi_parts as parts
from chalicelib.api.body import MAX_BATCH_JOBS
from chalicelib.api.openapi_parts import REF_TEMPLATE, Schema
from chalicelib.errors import PROBLEM_CONTENT_TYPE, Problem
from chalicelib.job_settings import BodyLimits
from chalicelib.jobs.job_types import JobType
from lambda_router_queue.models import BatchVerdicts, Job, JobPage

_USUAL = BodyLimits()

#: Problems that every operation may return.
_ALWAYS: tuple[type[Problem], ...] = (errors.NotAcceptable, errors.InternalError, errors.Misconfigured)
_SIGNED_IN = (
    *_ALWAYS,
    errors.Unauthenticated,
    errors.InsufficientScope,
    errors.SigningKeysUnavailable,
    errors.QueueUnavailable,
    errors.EncryptionUnavailable,
)


_BODY_PROBLEMS = (
    errors.MalformedRequest,
    errors.PayloadTooLarge,
    errors.UnsupportedMediaType,
    errors.InvalidJob,
)


def document(job_types: Mapping[str, JobType], scope: str, base: str = "/", body_limits: BodyLimits = _USUAL) -> Schema:
    """Build the whole document of a deployment.

    Args:
        job_types: the types with the deployment's settings applied.
        base: the part before the paths in the caller's URLs: API Gateway's stage, or a custom domain's base path.
    """
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Lambda Router",
            "version": chalicelib.__version__,
            "description": "The authenticated front door to a queue of inference jobs.",
            "license": {"name": "MIT", "url": "https://opensource.org/license/mit"},
        },
        "servers": [{"url": base}],
        "paths": {path: _with_head(operations) for path, operations in _paths(job_types, body_limits).items()},
        "components": {
            "schemas": _schemas(job_types),
            "headers": parts.HEADERS,
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


def _paths(job_types: Mapping[str, JobType], body_limits: BodyLimits) -> Schema:
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
            *_BODY_PROBLEMS,
            errors.IdempotencyKeyReused,
            errors.RateLimited,
            errors.TooManyOpenJobs,
            errors.TooMuchStored,
            errors.QueueFull,
        ),
        parameters=[parts.IDEMPOTENCY_KEY, parts.TRACEPARENT],
    )
    submit["requestBody"] = _body(_request_schema(job_types), body_limits.job)
    page = _operation(
        "listJobs",
        "Your jobs, newest first",
        {"200": _ok("One page.", "JobPage")},
        (*_SIGNED_IN, errors.MalformedRequest),
        parameters=parts.PAGE_PARAMETERS,
    )
    look = _operation(
        "getJob",
        "One job; with `Prefer: wait=N` as soon as it is final",
        {
            "200": _ok("The job as it now stands.", "Job", ["ETag", "Preference-Applied", "Retry-After"]),
            "304": {"description": "Unchanged since that ETag."},
        },
        (*_SIGNED_IN, errors.NotFound, errors.MalformedRequest),
        parameters=[parts.PREFER, parts.IF_NONE_MATCH],
    )
    cancel = _operation(
        "cancelJob",
        "Cancel a job; repeating it changes nothing",
        {"200": _ok("The job as it now stands.", "Job")},
        (*_SIGNED_IN, errors.NotFound),
    )
    batch = _operation(
        "createBatch",
        "Queue up to 100 jobs; one verdict each, in order",
        {"200": _ok("The verdicts.", "BatchVerdicts")},
        (*_SIGNED_IN, *_BODY_PROBLEMS),
        parameters=[parts.IDEMPOTENCY_KEY, parts.TRACEPARENT],
    )
    batch["requestBody"] = _body(_ref("Batch"), body_limits.batch)
    secured: Schema = {"security": [{"cognito": []}]}
    open_: Schema = {"security": []}
    health = _operation("health", "Whether the process answers", {"200": _ok("It does.", "Health")}, _ALWAYS)
    ready = _operation(
        "ready",
        "Whether what the service depends on answers",
        {"200": _ok("All of it does.", "Readiness"), "503": _ok("Some of it does not.", "Readiness")},
        _ALWAYS,
    )
    this = _operation(
        "openapi",
        "This document",
        {"200": {"description": "OpenAPI 3.1.", "content": _json({"type": "object"})}},
        _ALWAYS,
    )
    return {
        "/health": {"get": health | open_},
        "/ready": {"get": ready | open_},
        "/openapi.json": {"get": this | open_},
        "/v1/jobs": {"post": submit | secured, "get": page | secured},
        "/v1/jobs/batch": {"post": batch | secured},
        "/v1/jobs/{job_id}": {"parameters": [parts.JOB_ID], "get": look | secured, "delete": cancel | secured},
    }


def _with_head(operations: Schema) -> Schema:
    """Add HEAD where there is GET, with the same responses but no content."""
    if "get" not in operations:
        return operations
    get: Schema = operations["get"]
    bare = {
        status: {name: value for name, value in answer.items() if name != "content"}
        for status, answer in get["responses"].items()
    }
    named = {"operationId": f"{get['operationId']}Head", "summary": f"{get['summary']}; without the content"}
    return operations | {"head": get | named | {"responses": bare}}


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


def _body(schema: Schema, most: int) -> Schema:
    return {"required": True, "description": f"At most {most:,} bytes.", "content": _json(schema)}


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
    _, outputs = models_json_schema(
        [(model, "serialization") for model in (Job, JobPage, BatchVerdicts)], ref_template=REF_TEMPLATE
    )
    models: Schema = inputs["$defs"] | outputs["$defs"]
    batch = {
        "type": "object",
        "required": ["jobs"],
        "additionalProperties": False,
        "properties": {
            "jobs": {"type": "array", "minItems": 1, "maxItems": MAX_BATCH_JOBS, "items": _request_schema(job_types)}
        },
    }
    return models | {"Batch": batch, "Problem": parts.PROBLEM, "Health": parts.HEALTH, "Readiness": parts.READINESS}
