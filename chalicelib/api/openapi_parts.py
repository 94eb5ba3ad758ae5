"""Repeated parts of the OpenAPI document: headers, parameters, and the schemas without a pydantic model."""

from typing import Any, get_args

from chalicelib.limits import MAX_WAIT_SECONDS
from lambda_router_queue.models import Status

type Schema = dict[str, Any]

REF_TEMPLATE = "#/components/schemas/{model}"

DEFAULT_PAGE, MAX_PAGE = 20, 100

STRING: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}

_PROMPT = "Why is the sky blue?"
_JOB: Schema = {"type": "generate", "input": {"prompt": _PROMPT}}
#: Bodies that are accepted as they stand. Without them, Swagger UI makes one of every member and its limits. They name
#: no model of the deployment, since anybody may read the document.
EXAMPLES: Schema = {
    "job": _JOB,
    "batch": {"jobs": [_JOB, _JOB | {"priority": "low"}]},
    "response": {"model": "tinyllama", "input": _PROMPT},
    "completion": {"model": "tinyllama", "messages": [{"role": "user", "content": _PROMPT}]},
}

#: Groups of operations by the beginning of their path, in the order in which a reader needs them.
TAGS = {
    "/v1/jobs": ("Jobs", "The queue's own API: priorities, delays, batches and places in line."),
    "/v1/": ("OpenAI API", "What OpenAI's clients call."),
    "/": ("Service", "What needs no token."),
}

PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "instance"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": STRING,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": STRING,
        "instance": {"type": "string", "description": "The request id."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": STRING, "detail": STRING},
            },
        },
        "violated-policies": {"type": "array", "items": STRING},
    },
}
DOCUMENT: Schema = {"type": "object", "description": "An OpenAPI 3.1 document."}
HEALTH: Schema = {
    "type": "object",
    "required": ["status", "version", "function_version"],
    "properties": {
        "status": {"type": "string", "enum": ["ok"]},
        "version": STRING | {"description": "The build: version and commit, such as 0.1.0+g1f98489c0a1b."},
        "function_version": STRING | {"description": "Lambda's number of the published version that answers."},
    },
}
DEPENDENCY: Schema = {
    "type": "object",
    "required": ["ok", "latency_ms"],
    "properties": {
        "ok": {"type": "boolean"},
        "latency_ms": {"type": "number", "minimum": 0},
        "reason": STRING | {"description": "What an operator should fix."},
    },
}
READINESS: Schema = {
    "type": "object",
    "required": ["redis", "jwks"],
    "properties": {"redis": DEPENDENCY, "jwks": DEPENDENCY, "clients": DEPENDENCY},
}
RESOURCE: Schema = {
    "type": "object",
    "description": "RFC 9728 protected resource metadata.",
    "required": ["resource", "authorization_servers", "scopes_supported", "bearer_methods_supported"],
    "properties": {
        "resource": STRING | {"description": "The address of this API, as you called it."},
        "authorization_servers": {"type": "array", "items": STRING, "description": "The user pool's issuer."},
        "scopes_supported": {"type": "array", "items": STRING},
        "bearer_methods_supported": {"type": "array", "items": {"type": "string", "enum": ["header"]}},
        "lambda_router_client_id": STRING | {"description": "The public client for people, if there is one."},
    },
}

MODEL_OBJECT: Schema = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by"],
    "properties": {
        "id": STRING,
        "object": {"type": "string", "const": "model"},
        "created": WHOLE,
        "owned_by": STRING,
    },
}


def _list_of(item: Schema, **members: Schema) -> Schema:
    listed = {"object": {"type": "string", "const": "list"}, "data": {"type": "array", "items": item}}
    return {"type": "object", "required": ["object", "data", *members], "properties": listed | members}


#: A page of a job's live output.
EVENT_PAGE: Schema = _list_of(
    {
        "type": "object",
        "required": ["id", "type"],
        "properties": {
            "id": STRING,
            "type": {"type": "string", "enum": ["delta", "restarted", "job"]},
            "delta": {"type": "object", "description": "What the worker emitted, such as `text`."},
            "job": {"$ref": REF_TEMPLATE.format(model="Job")},
        },
    },
    has_more={"type": "boolean", "description": "False: the job is final, and the last event is the job."},
)

_ITEM_ID: Schema = {"type": ["string", "null"]}
#: What the OpenAI API returns besides responses and completions.
OPENAI: Schema = {
    "Model": MODEL_OBJECT,
    "Models": _list_of({"$ref": REF_TEMPLATE.format(model="Model")}),
    "InputItems": _list_of({"type": "object"}, first_id=_ITEM_ID, last_id=_ITEM_ID, has_more={"type": "boolean"}),
    "DeletedResponse": {
        "type": "object",
        "required": ["id", "object", "deleted"],
        "properties": {"id": STRING, "object": {"type": "string", "const": "response"}, "deleted": {"const": True}},
    },
    "OpenAIError": {
        "description": "An error as OpenAI's clients read it, with the problem's members beside it.",
        "allOf": [{"$ref": REF_TEMPLATE.format(model="Problem")}],
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {"message": STRING, "type": STRING, "param": _ITEM_ID, "code": STRING},
            }
        },
    },
}

HEADERS: Schema = {
    name: {"description": description, "schema": schema}
    for name, description, schema in (
        ("X-Request-Id", "Id of this request, in every response and log line.", STRING),
        ("Location", "Where the job is.", STRING),
        ("Retry-After", "Seconds after which to try again.", WHOLE),
        ("RateLimit-Policy", "Your quota (draft-ietf-httpapi-ratelimit-headers).", STRING),
        ("RateLimit", "Jobs you may send now (`r`) and seconds until the burst is whole (`t`).", STRING),
        ("Idempotency-Replayed", "`true` when this key was used before: no second job was created.", STRING),
        ("ETag", "Changes when the job changes.", STRING),
        ("Preference-Applied", "The `wait` that was honoured; `wait=0` where no place was free.", STRING),
    )
}


def _parameter(place: str, name: str, description: str, schema: Schema, required: bool = False) -> Schema:
    return {"in": place, "name": name, "description": description, "schema": schema, "required": required}


JOB_ID = _parameter(
    "path",
    "job_id",
    "As returned by `POST /v1/jobs`.",
    {"type": "string", "pattern": "^job_[0-9a-f]{32}$"},
    required=True,
)
MODEL = _parameter("path", "model", "One of `GET /v1/models`, its slashes encoded.", STRING, required=True)
RESPONSE_ID = _parameter(
    "path",
    "response_id",
    "As returned by `POST /v1/responses`.",
    {"type": "string", "pattern": "^resp_[0-9a-f]{32}$"},
    required=True,
)
IDEMPOTENCY_KEY = _parameter(
    "header",
    "Idempotency-Key",
    "A quoted string (RFC 8941) or a bare token; the same key gives the same job.",
    {"type": "string", "pattern": r'^([A-Za-z0-9._~:-]{1,255}|"[A-Za-z0-9._~:-]{1,255}")$'},
)
TRACEPARENT = _parameter("header", "traceparent", "W3C trace context; travels with the job.", STRING)
PREFER = _parameter(
    "header",
    "Prefer",
    f"`wait=N`: hold the response for up to N seconds, at most {MAX_WAIT_SECONDS}, if a place for that is free.",
    {"type": "string", "pattern": r"^wait=\d{1,4}$"},
)
IF_NONE_MATCH = _parameter("header", "If-None-Match", "An ETag received before.", STRING)
_EVENT_ID = STRING | {"pattern": r"^(\d{1,19}-\d{1,19}|end|)$"}
AFTER = _parameter("query", "after", "The id of an event: what follows it is returned.", _EVENT_ID)
LAST_EVENT_ID = _parameter(
    "header", "Last-Event-ID", "The same, as browsers send it; it counts if both are there.", _EVENT_ID
)
STREAM_PARAMETERS = (
    _parameter("query", "stream", "`true`: server-sent events, where responses are streamed.", {"type": "boolean"}),
    _parameter("query", "starting_after", "Of a stream: only events with a larger `sequence_number`.", WHOLE),
)
ITEM_PARAMETERS = (
    _parameter(
        "query",
        "limit",
        "Items a page.",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE},
    ),
    _parameter("query", "order", "By their order in the input.", {"type": "string", "enum": ["asc", "desc"]}),
    _parameter("query", "after", "The `last_id` of the page before.", STRING),
)
PAGE_PARAMETERS = (
    _parameter(
        "query",
        "limit",
        "Jobs a page.",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE},
    ),
    _parameter("query", "status", "Only jobs in this state.", {"type": "string", "enum": list(get_args(Status))}),
    _parameter("query", "cursor", "`next_cursor` of the page before.", STRING),
)
