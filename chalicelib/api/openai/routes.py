"""The routes of the OpenAI API: one short function each. ``docs/openai.md`` says what each promises.

What they need is imported by the first request to one of them, so that it does not lengthen a cold start.
"""

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from chalice.app import Blueprint, Response

from chalicelib import errors, limits, wiring
from chalicelib.api import gateway, openapi_parts
from chalicelib.api.gateway import READ
from chalicelib.api.guard import guarded, note_job
from chalicelib.api.operations import BODY_OPENAI, SIGNED_IN, Answer, Operation, described_by
from chalicelib.api.request_headers import header_values
from chalicelib.api.responses import json_response

if TYPE_CHECKING:
    from chalicelib.api.openai.answers import Door

routes = Blueprint(__name__)

_guarded = gateway.guarded_route(wiring.surface())

_ADMITTED = (
    *SIGNED_IN,
    *BODY_OPENAI,
    errors.ModelNotFound,
    errors.IdempotencyKeyReused,
    errors.RateLimited,
    errors.TooManyOpenJobs,
    errors.TooMuchStored,
    errors.TooManyHeld,
    errors.QueueFull,
    errors.StillRunning,
)
_FOUND = (*SIGNED_IN, errors.NotFound)
_HEADERS = (openapi_parts.IDEMPOTENCY_KEY, openapi_parts.TRACEPARENT)


@routes.route("/v1/models", methods=READ, **_guarded)
@described_by(
    Operation("listModels", "The models that you may name", {200: Answer("All of them.", "Models")}, SIGNED_IN)
)
def list_models() -> Response:
    """List the models."""
    services, _ = guarded(routes.current_request)
    return json_response({"object": "list", "data": [_model(name) for name in services.settings.models]})


@routes.route("/v1/models/{model}", methods=READ, **_guarded)
@described_by(
    Operation(
        "getModel",
        "One model",
        {200: Answer("The model.", "Model")},
        (*SIGNED_IN, errors.ModelNotFound),
        parameters=(openapi_parts.MODEL,),
    )
)
def get_model(model: str) -> Response:
    """Return one model."""
    services, _ = guarded(routes.current_request)
    name = unquote(model)  # its slashes are encoded
    if name not in services.settings.models:
        raise errors.ModelNotFound(f"There is no model {name[:64]!r} here.")
    return json_response(_model(name))


@routes.route("/v1/responses", methods=["POST"], **_guarded)
@described_by(
    Operation(
        "createResponse",
        "Create a response; `background: true` does not wait for it",
        {
            200: Answer(
                "The response: final, or queued in the background; or its events.",
                "Response",
                limits.RATE_HEADERS,
                is_streamed=True,
            )
        },
        (*_ADMITTED, errors.PreviousResponseNotFound),
        parameters=_HEADERS,
        body="response",
    )
)
def create_response() -> Response:
    """Create a response."""
    return _door(may_stream=True).create_response()


@routes.route("/v1/responses/{response_id}", methods=READ, **_guarded)
@described_by(
    Operation(
        "getResponse",
        "One response",
        {200: Answer("The response as it now stands, or its events.", "Response", is_streamed=True)},
        (*_FOUND, errors.InvalidParameter, errors.TooManyHeld),
        parameters=(openapi_parts.RESPONSE_ID, *openapi_parts.STREAM_PARAMETERS),
    )
)
def get_response(response_id: str) -> Response:
    """Return one response."""
    return _door(response_id, may_stream=True).read(response_id)


@routes.route("/v1/responses/{response_id}", methods=["DELETE"], **_guarded)
@described_by(
    Operation(
        "deleteResponse",
        "Cancel a response if it is not final, and delete all of it",
        {200: Answer("It is gone.", "DeletedResponse")},
        _FOUND,
        parameters=(openapi_parts.RESPONSE_ID,),
    )
)
def delete_response(response_id: str) -> Response:
    """Delete one response."""
    return json_response(_door(response_id).delete(response_id))


@routes.route("/v1/responses/{response_id}/cancel", methods=["POST"], **_guarded)
@described_by(
    Operation(
        "cancelResponse",
        "Cancel a response; repeating the request changes nothing",
        {200: Answer("The response as it now stands.", "Response")},
        _FOUND,
        parameters=(openapi_parts.RESPONSE_ID,),
    )
)
def cancel_response(response_id: str) -> Response:
    """Cancel one response."""
    return json_response(_door(response_id).cancel(response_id).model_dump_json())


@routes.route("/v1/responses/{response_id}/input_items", methods=READ, **_guarded)
@described_by(
    Operation(
        "listInputItems",
        "The input of one response",
        {200: Answer("One page.", "InputItems")},
        (*_FOUND, errors.MalformedRequest, errors.InvalidParameter),
        parameters=(openapi_parts.RESPONSE_ID, *openapi_parts.ITEM_PARAMETERS),
    )
)
def list_input_items(response_id: str) -> Response:
    """List the items of one response's input."""
    return json_response(_door(response_id).input_items(response_id))


@routes.route("/v1/chat/completions", methods=["POST"], **_guarded)
@described_by(
    Operation(
        "createChatCompletion",
        "Continue a chat, and wait for it",
        {200: Answer("The completion, or its chunks.", "ChatCompletion", limits.RATE_HEADERS, is_streamed=True)},
        (*_ADMITTED, errors.JobNotCompleted),
        parameters=_HEADERS,
        body="completion",
    )
)
def create_completion() -> Response:
    """Continue a chat."""
    return _door(may_stream=True).create_completion()


def _door(response_id: str = "", *, may_stream: bool = False) -> "Door":
    """Return the API for this request, once its caller is verified.

    Args:
        may_stream: the response is JSON or a stream of events, and a request may accept either.
    """
    request = routes.current_request
    accepts_events = "text/event-stream" in ",".join(header_values(request, "accept")).lower()
    services, principal = guarded(request, is_json=not (may_stream and accepts_events))
    note_job("job_" + response_id.removeprefix("resp_"))
    from chalicelib.api.openai.answers import Door

    return Door(services, principal, request)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "lambda-router"}
