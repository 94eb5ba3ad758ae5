"""The OpenAPI 3.1 document, generated from the routes and from the models that validate requests.

Served at ``/openapi.json``.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import chalicelib
from chalicelib.api import openapi_parts as parts
from chalicelib.api.body import MAX_BATCH_JOBS
from chalicelib.api.openapi_parts import REF_TEMPLATE, Schema
from chalicelib.api.operations import Answer, Operation, operation_of
from chalicelib.api.responses import OPENAI_PATHS
from chalicelib.errors import PROBLEM_CONTENT_TYPE
from chalicelib.job_settings import BodyLimits
from chalicelib.jobs.job_types import JobType
from lambda_router_queue.models import BatchVerdicts, Job, JobPage

_USUAL = BodyLimits()


def document(
    routes: Mapping[str, Mapping[str, Any]],
    job_types: Mapping[str, JobType],
    scope: str,
    base: str = "/",
    body_limits: BodyLimits = _USUAL,
) -> Schema:
    """Build the whole document of a deployment.

    Args:
        routes: Chalice's entries by path and method. Those without an operation, preflights and pages, are left out.
        job_types: the types with the deployment's settings applied.
        base: the part before the paths in the caller's URLs: API Gateway's stage, or a custom domain's base path.
    """
    schemas = {
        "job": (_request_schema(job_types), body_limits.job),
        "batch": (_ref("Batch"), body_limits.batch),
        "response": (_ref("ResponseRequest"), body_limits.job),
        "completion": (_ref("CompletionRequest"), body_limits.job),
    }
    examples = parts.EXAMPLES if parts.EXAMPLES["job"]["type"] in job_types else {}
    bodies = {name: _body(schema, most, examples.get(name)) for name, (schema, most) in schemas.items()}
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Lambda Router",
            "version": chalicelib.__version__,
            "description": "The authenticated front door to a queue of inference jobs.",
            "license": {"name": "MIT", "url": "https://opensource.org/license/mit"},
        },
        "servers": [{"url": base}],
        "tags": [{"name": name, "description": description} for name, description in parts.TAGS.values()],
        "paths": {path: item for path, methods in routes.items() if (item := _path_item(path, methods, bodies))},
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


def _path_item(path: str, methods: Mapping[str, Any], bodies: Mapping[str, Schema]) -> Schema:
    item: Schema = {"parameters": [parts.JOB_ID]} if "{job_id}" in path else {}
    problem = _openai_problem if path.startswith(OPENAI_PATHS) else _problem
    for method, entry in methods.items():
        operation = operation_of(entry.view_function)
        if operation is not None:
            described = _operation(operation, bodies, problem) | {"tags": [_tag(path)]}
            item[method.lower()] = _head(described) if method == "HEAD" else described
    return item


def _tag(path: str) -> str:
    return next(name for beginning, (name, _) in parts.TAGS.items() if path.startswith(beginning))


def _operation(operation: Operation, bodies: Mapping[str, Schema], problem_of: Callable[[list[str]], Schema]) -> Schema:
    by_status: dict[int, list[str]] = {}
    for problem in operation.problems:
        by_status.setdefault(problem.status, []).append(problem.title)
    answers = {str(status): _answer(answer) for status, answer in operation.answers.items()}
    refusals = {str(status): problem_of(titles) for status, titles in sorted(by_status.items())}
    described: Schema = {
        "operationId": operation.id,
        "summary": operation.summary,
        "security": [{"cognito": []}] if operation.needs_token else [],
        "responses": answers | refusals,
    }
    if operation.parameters:
        described["parameters"] = list(operation.parameters)
    if operation.body:
        described["requestBody"] = bodies[operation.body]
    return described


def _head(get: Schema) -> Schema:
    """Return the operation of HEAD: that of GET, with the same responses but no content."""
    bare = {
        status: {name: value for name, value in answer.items() if name != "content"}
        for status, answer in get["responses"].items()
    }
    named = {"operationId": f"{get['operationId']}Head", "summary": f"{get['summary']}; without the content"}
    return get | named | {"responses": bare}


def _answer(answer: Answer) -> Schema:
    described: Schema = {
        "description": answer.description,
        "headers": _header_refs(["X-Request-Id", *answer.headers]),
    }
    if answer.schema is None:
        return described
    # A schema would be that of a whole body for some readers, and of a single event for others.
    events: Schema = {"text/event-stream": {}} if answer.is_streamed else {}
    return described | {"content": _json(_ref(answer.schema)) | events}


def _problem(titles: list[str]) -> Schema:
    return {
        "description": " / ".join(titles),
        "content": {PROBLEM_CONTENT_TYPE: {"schema": _ref("Problem")}},
        "headers": _header_refs(["X-Request-Id"]),
    }


def _openai_problem(titles: list[str]) -> Schema:
    return _problem(titles) | {"content": _json(_ref("OpenAIError"))}


def _header_refs(names: list[str]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _body(schema: Schema, most: int, example: Schema | None) -> Schema:
    content = _json(schema)
    if example:
        content["application/json"]["example"] = example
    return {"required": True, "description": f"At most {most:,} bytes.", "content": content}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _ref(name: str) -> Schema:
    return {"$ref": REF_TEMPLATE.format(model=name)}


def _schemas(job_types: Mapping[str, JobType]) -> Schema:
    # Deferred: only this document and the OpenAI API itself need them.
    from chalicelib.openai.completion_object import ChatCompletion
    from chalicelib.openai.completion_request import CompletionRequest
    from chalicelib.openai.response_object import Response
    from chalicelib.openai.response_request import ResponseRequest

    requests: list[type[BaseModel]] = [job_type.request_model for job_type in job_types.values()]
    requests += [ResponseRequest, CompletionRequest]
    results = [job_type.result_model for job_type in job_types.values() if job_type.result_model]
    _, inputs = models_json_schema(
        [(model, "validation") for model in dict.fromkeys([*requests, *results])], ref_template=REF_TEMPLATE
    )
    answers = (Job, JobPage, BatchVerdicts, Response, ChatCompletion)
    _, outputs = models_json_schema([(model, "serialization") for model in answers], ref_template=REF_TEMPLATE)
    models: Schema = inputs["$defs"] | outputs["$defs"]
    for model in models.values():
        for name, member in model.get("properties", {}).items():
            model["properties"][name] = _with_default_in_words(member)
    own = {_job_name(job_type): _job_schema(models["Job"], job_type) for job_type in job_types.values()}
    job = _one_of({name: _job_name(job_type) for name, job_type in job_types.items()})
    batch = {
        "type": "object",
        "required": ["jobs"],
        "additionalProperties": False,
        "properties": {
            "jobs": {"type": "array", "minItems": 1, "maxItems": MAX_BATCH_JOBS, "items": _request_schema(job_types)}
        },
    }
    made = {
        "Job": job | {"description": Job.__doc__},
        "Batch": batch,
        "Problem": parts.PROBLEM,
        "Health": parts.HEALTH,
        "Readiness": parts.READINESS,
        "Document": parts.DOCUMENT,
        "ProtectedResource": parts.RESOURCE,
        "EventPage": parts.EVENT_PAGE,
    }
    return models | own | made | parts.OPENAI


def _with_default_in_words(member: Schema) -> Schema:
    """Move a default into the description. Generators such as openapi-typescript require a member that has one."""
    bare = {name: value for name, value in member.items() if name != "default"}
    if member.get("default") is None:
        return bare
    words = [
        *([member["description"]] if "description" in member else []),
        f"Default: `{json.dumps(member['default'])}`.",
    ]
    return bare | {"description": " ".join(words)}


def _job_name(job_type: JobType) -> str:
    return job_type.request_model.__name__.removesuffix("Request")


def _job_schema(any_job: Schema, job_type: JobType) -> Schema:
    """Return the schema of this type's jobs: that of any job, with the type's name and its result."""
    properties: Schema = any_job["properties"] | {"type": {"type": "string", "const": job_type.name}}
    if job_type.result_model:
        result = _ref(job_type.result_model.__name__)
        properties["result"] = {"anyOf": [result, {"type": "null"}]}
    return any_job | {"title": _job_name(job_type), "properties": properties}


def _request_schema(job_types: Mapping[str, JobType]) -> Schema:
    return _one_of({name: job_type.request_model.__name__ for name, job_type in job_types.items()})


def _one_of(components: Mapping[str, str]) -> Schema:
    """Return a schema that the member ``type`` decides, from components by its value."""
    refs = {value: _ref(name) for value, name in components.items()}
    mapping = {value: ref["$ref"] for value, ref in refs.items()}
    return {"oneOf": list(refs.values()), "discriminator": {"propertyName": "type", "mapping": mapping}}
