"""Responses of the OpenAI API's routes. ``docs/openai.md`` says what each promises."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from chalice.app import Request
from chalice.app import Response as Reply
from pydantic import BaseModel, ValidationError

from chalicelib import limits
from chalicelib.api import request_headers
from chalicelib.api.guard import body_bytes
from chalicelib.api.openai.body import invalid_parameter, parse_request, stream_wanted
from chalicelib.api.openai.held_jobs import HeldJobs, Wanted, found
from chalicelib.api.openai.streams import Body, Followed, Grammar, event_stream, late_json
from chalicelib.api.responses import NO_STORE, json_response
from chalicelib.api.streamed import StreamedResponse, can_stream
from chalicelib.callers.auth import Principal
from chalicelib.errors import InvalidParameter, ModelNotFound, NotFound, StillRunning
from chalicelib.jobs.job_records import Record
from chalicelib.jobs.waits import Hold
from chalicelib.openai.chat_jobs import RESPONSE_NAMES, completion_names, job_of_completion, job_of_response
from chalicelib.openai.chat_messages import UnknownCall
from chalicelib.openai.completion_object import completion_of
from chalicelib.openai.completion_request import CompletionRequest
from chalicelib.openai.completion_stream import CompletionStream
from chalicelib.openai.conversation import conversation_of, stored_request
from chalicelib.openai.input_items import items_of
from chalicelib.openai.response_object import Response, is_read, job_id_of, response_id_of, response_of
from chalicelib.openai.response_request import ResponseRequest, StoredRequest
from chalicelib.openai.response_stream import IN_PROGRESS_NUMBER, ResponseStream
from chalicelib.wiring import Services
from lambda_router_queue.models import FINAL_STATUSES, Job


class Door:
    """The OpenAI API for one request of one caller."""

    def __init__(
        self,
        services: Services,
        principal: Principal,
        request: Request,
        silent_seconds: float = limits.MAX_HOLD_SECONDS,
    ) -> None:
        self._services = services
        self._owner = principal.owner
        self._principal = principal
        self._request = request
        self._silent_seconds = silent_seconds
        self._jobs = HeldJobs(services, principal, request)

    def create_response(self) -> Reply:
        """Queue a response; hold or stream it until it is final unless it is to run in the background."""
        wanted = self._parsed(ResponseRequest)
        self._require_model(wanted.model)
        past = conversation_of(self._services.queue, self._owner, wanted.previous_response_id)
        stored = StoredRequest(request=wanted, ancestors=list(past.ancestors), ancestors_bytes=past.ancestors_bytes)
        try:
            body = job_of_response(wanted, [*past.items, *items_of(wanted.input)], self._most_tokens)
        except UnknownCall as unknown:
            detail = f"No function_call before it has the call_id {unknown.args[0]!r} of a function_call_output."
            raise InvalidParameter(detail, param="input", code="unknown_call_id") from None
        job = self._chat_job(body, RESPONSE_NAMES)._replace(openai=stored.as_json())
        if wanted.stream:
            return self._streamed(job, lambda job: ResponseStream(job, stored))
        if wanted.background:
            return _json(response_of(self._jobs.submit(job), stored), self._jobs.rate)
        return self._held(
            job, lambda job: response_of(job, stored), lambda job: f"/v1/responses/{response_id_of(job.id)}"
        )

    def create_completion(self) -> Reply:
        """Queue a chat, and hold or stream it until it is final."""
        wanted = self._parsed(CompletionRequest)
        self._require_model(wanted.model)
        job = self._chat_job(job_of_completion(wanted, self._most_tokens), completion_names(wanted))
        if wanted.stream:
            with_usage = bool(wanted.stream_options and wanted.stream_options.include_usage)
            return self._streamed(job, lambda job: CompletionStream(job, wanted.model, with_usage=with_usage))
        return self._held(job, lambda job: completion_of(job, wanted.model), lambda job: f"/v1/jobs/{job.id}")

    def read(self, response_id: str) -> Reply:
        """Return the caller's response, or a stream of it."""
        after = stream_wanted(self._request)
        if after is None:
            return _json(self.response(response_id))
        return self._streamed_again(response_id, after)

    def response(self, response_id: str) -> Response:
        """Return the caller's response. One that is not stored is returned once it is final, and then is gone."""
        is_reader = self._request.method == "GET"
        queue, job_id = self._services.queue, job_id_of(response_id)
        record = queue.take_record(self._owner, job_id) if is_reader else queue.record(self._owner, job_id, "look")
        return _shown(record)

    def cancel(self, response_id: str) -> Response:
        """Cancel a response that is not final yet."""
        shown = self._look(response_id)
        if shown.status not in {"queued", "in_progress"}:
            return shown
        return _shown(self._services.queue.record(self._owner, job_id_of(response_id), "cancel"))

    def delete(self, response_id: str) -> dict[str, Any]:
        """Cancel a response if it is not final, and delete all that is stored of it."""
        self._look(response_id)
        self._services.queue.record(self._owner, job_id_of(response_id), "delete")
        return {"id": response_id, "object": "response", "deleted": True}

    def input_items(self, response_id: str) -> dict[str, Any]:
        """Return a page of a response's own input, without that of earlier responses."""
        query = request_headers.single_query(self._request, frozenset({"limit", "order", "after"}))
        order = query.get("order", "desc")
        if order not in {"asc", "desc"}:
            raise InvalidParameter(
                f"'order' must be asc or desc; found {order[:32]!r}.", param="order", code="invalid_value"
            )
        most = request_headers.page_size(query, 20, 100)
        record = self._services.queue.record(self._owner, job_id_of(response_id), "look")
        stored = _stored(record)
        items = _numbered(response_id, stored)
        items = items if order == "asc" else items[::-1]
        if "after" in query:
            ids = [item["id"] for item in items]
            if query["after"] not in ids:
                raise InvalidParameter(
                    "'after' must be the id of one of the items.", param="after", code="invalid_value"
                )
            items = items[ids.index(query["after"]) + 1 :]
        page = items[:most]
        return {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(items) > most,
        }

    @property
    def _most_tokens(self) -> int:
        return self._services.settings.router_max_tokens

    def _parsed[Body: (ResponseRequest, CompletionRequest)](self, model: type[Body]) -> Body:
        content_type = request_headers.one_header(self._request, "content-type")
        most_bytes = self._services.settings.router_max_body_bytes
        wanted = parse_request(body_bytes(self._request), content_type, most_bytes, model)
        if wanted.stream and not can_stream(self._request):
            raise InvalidParameter(
                "'stream' is not supported here: omit it, or send false.", param="stream", code="invalid_value"
            )
        return wanted

    def _require_model(self, name: str) -> None:
        models = self._services.settings.models
        if name not in models:
            raise ModelNotFound(f"There is no model {name[:64]!r} here; there are {', '.join(sorted(models))}.")

    def _chat_job(self, body: dict[str, Any], names: dict[str, str]) -> Wanted:
        job_type = self._services.job_types["chat"]
        self._principal.require(job_type.scope)
        try:
            return Wanted(job_type.request_model.model_validate(body, strict=True), job_type)
        except ValidationError as error:
            raise invalid_parameter(error, body, names) from None

    def _held(self, wanted: Wanted, shown: Callable[[Job], BaseModel], path_of: Callable[[Job], str]) -> Reply:
        """Submit a job, and return what it shows once it is final, late if this environment can do that.

        Args:
            path_of: where the job can be fetched later.

        Raises:
            TooManyHeld: nothing was submitted.
            StillRunning: the time is up. The job goes on.
        """

        def late(job: Job) -> str:
            if is_read(job):
                raise NotFound("The response is not stored, and another request has read it.")
            return shown(job).model_dump_json()

        with ExitStack() as resources:
            hold = silent = resources.enter_context(self._jobs.place())
            if can_stream(self._request):  # nothing is sent at first, so that a refusal keeps its status
                silent = Hold(min(hold.ends, time.monotonic() + self._silent_seconds))
            job = self._jobs.held(wanted, silent)
            if job.status in FINAL_STATUSES:
                return _json(shown(job), self._jobs.rate)
            if silent == hold:
                detail = f"It is still {job.status}. Repeat the request to wait again, or fetch it later: GET "
                raise StillRunning(detail + path_of(job), headers=limits.retry_after(1000))
            pieces = late_json(job, hold, self._jobs.taken, late)
            headers = NO_STORE | {"Content-Type": "application/json"} | self._jobs.rate
            return StreamedResponse(Body(pieces, resources.pop_all()), headers)

    def _streamed(self, wanted: Wanted, grammar_of: Callable[[Job], Grammar]) -> Reply:
        """Submit a job, and return the stream of its output. Raises TooManyHeld if nothing was submitted."""
        with ExitStack() as resources:
            hold = resources.enter_context(self._jobs.place())
            job = self._jobs.submit(wanted)
            pieces = Followed(self._services, self._owner, job, hold.ends).events(grammar_of(job))
            return event_stream(Body(pieces, resources.pop_all()), self._jobs.rate)

    def _streamed_again(self, response_id: str, after: int) -> Reply:
        """Return the stream of a response that is there, behind that event."""
        record = self._services.queue.record(self._owner, job_id_of(response_id), "look")
        stored = _stored(record)
        job = found(record).job
        if after > IN_PROGRESS_NUMBER and self._is_log_gone(job):
            detail = f"The events of this response are not kept any more. Fetch it: GET /v1/responses/{response_id}"
            raise InvalidParameter(detail, param="starting_after", code="invalid_value")
        with ExitStack() as resources:
            hold = resources.enter_context(self._jobs.place())
            grammar = ResponseStream(job, stored, after)
            pieces = Followed(self._services, self._owner, job, hold.ends).events(grammar)
            if after >= 0 and job.store and job.status in FINAL_STATUSES:
                pieces = iter(list(pieces))
                if grammar.last_number is not None and after >= grammar.last_number:
                    detail = f"'starting_after' is {after}, and the last event is {grammar.last_number}."
                    raise InvalidParameter(detail, param="starting_after", code="invalid_value")
            return event_stream(Body(pieces, resources.pop_all()))

    def _is_log_gone(self, job: Job) -> bool:
        """Return whether there is nothing that the worker emitted. Events made from the result have other numbers."""
        return job.status in FINAL_STATUSES and not self._services.live.read(job, self._owner, "", 0).entries

    def _look(self, response_id: str) -> Response:
        return _shown(self._services.queue.record(self._owner, job_id_of(response_id), "look"))


def _json(document: BaseModel, headers: dict[str, str] | None = None) -> Reply:
    return json_response(document.model_dump_json(), headers=headers)


def _shown(record: Record | None) -> Response:
    """Return the record's response. Raises NotFound if it is none, or was not stored and has been read."""
    stored = _stored(record)
    return response_of(found(record).job, stored)


def _stored(record: Record | None) -> StoredRequest:
    """Return the request of the record's response. Raises NotFound if it is none."""
    stored = stored_request(found(record))
    if stored is None:
        raise NotFound("You have no response with that id.")
    return stored


def _numbered(response_id: str, stored: StoredRequest) -> list[dict[str, Any]]:
    """Return the items of a response's input, each with an id that is the same at every read."""
    digits = response_id.removeprefix("resp_")
    items: list[dict[str, Any]] = []
    ids: set[str] = set()
    for place, item in enumerate(items_of(stored.request.input)):
        shown = item.model_dump(exclude_none=True)
        if shown["type"] == "message" and isinstance(shown["content"], str):
            kind = "output_text" if shown["role"] == "assistant" else "input_text"
            part = {"type": kind, "text": shown["content"]}
            shown["content"] = [part | {"annotations": [], "logprobs": []} if kind == "output_text" else part]
        if shown.get("id") in ids:  # some clients give all items the same one, and a page begins behind an id
            del shown["id"]
        items.append({"id": f"item_{digits}_{place}", "status": "completed"} | shown)
        ids.add(items[-1]["id"])
    return items
