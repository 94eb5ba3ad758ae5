"""Responses of the OpenAI API's routes. ``docs/openai.md`` says what each promises."""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from chalice.app import Request
from pydantic import ValidationError

from chalicelib import limits
from chalicelib.api import request_headers, verdicts
from chalicelib.api.guard import affordable_seconds, body_bytes, caller_of
from chalicelib.api.openai.body import invalid_parameter, parse_request
from chalicelib.callers.auth import Principal
from chalicelib.errors import (
    InvalidParameter,
    ModelNotFound,
    NotFound,
    Problem,
    QueueUnavailable,
    StillRunning,
    TooManyHeld,
)
from chalicelib.jobs.admission import NewJob, Submission, Try
from chalicelib.jobs.job_queue import new_job_id
from chalicelib.jobs.job_records import Record
from chalicelib.jobs.job_types import JobType
from chalicelib.jobs.waits import Hold
from chalicelib.observability import notes
from chalicelib.openai.chat_jobs import RESPONSE_NAMES, completion_names, job_of_completion, job_of_response
from chalicelib.openai.chat_messages import UnknownCall
from chalicelib.openai.completion_object import ChatCompletion, completion_of
from chalicelib.openai.completion_request import CompletionRequest
from chalicelib.openai.conversation import conversation_of, stored_request
from chalicelib.openai.input_items import items_of
from chalicelib.openai.response_object import Response, is_completed, job_id_of, response_id_of, response_of
from chalicelib.openai.response_request import ResponseRequest, StoredRequest
from chalicelib.wiring import Services
from lambda_router_queue.models import FINAL_STATUSES, Job, JobRequest

#: How long a response that is not stored can be read, once.
MOST_KEPT_SECONDS = 600.0

#: How often a request is submitted again because another try of it, whose response was lost, has read the answer: as
#: often as there are other tries of a client with its usual settings.
MOST_OTHER_TRIES = 2

#: Header in which OpenAI's clients say how often they have repeated a request.
RETRY_COUNT = "x-stainless-retry-count"


class _Wanted(NamedTuple):
    """A job to be submitted for a request."""

    request: JobRequest
    job_type: JobType
    openai: str | None = None


class Door:
    """The OpenAI API for one request of one caller."""

    def __init__(self, services: Services, principal: Principal, request: Request) -> None:
        self._services = services
        self._owner = principal.owner
        self._principal = principal
        self._request = request

    def create_response(self) -> Response:
        """Queue a response, and hold it until it is final unless it is to run in the background."""
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
        if wanted.background:
            return response_of(self._submit(job), stored)
        return response_of(self._held(job, lambda job_id: f"/v1/responses/{response_id_of(job_id)}"), stored)

    def create_completion(self) -> ChatCompletion:
        """Queue a chat, and hold it until it is final."""
        wanted = self._parsed(CompletionRequest)
        self._require_model(wanted.model)
        job = self._chat_job(job_of_completion(wanted, self._most_tokens), completion_names(wanted))
        return completion_of(self._held(job, lambda job_id: f"/v1/jobs/{job_id}"), wanted.model)

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
        stored = stored_request(record) if record else None
        if stored is None:
            raise NotFound("You have no response with that id.")
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
        return parse_request(body_bytes(self._request), content_type, most_bytes, model)

    def _require_model(self, name: str) -> None:
        models = self._services.settings.models
        if name not in models:
            raise ModelNotFound(f"There is no model {name[:64]!r} here; there are {', '.join(sorted(models))}.")

    def _chat_job(self, body: dict[str, Any], names: dict[str, str]) -> _Wanted:
        job_type = self._services.job_types["chat"]
        self._principal.require(job_type.scope)
        try:
            return _Wanted(job_type.request_model.model_validate(body, strict=True), job_type)
        except ValidationError as error:
            raise invalid_parameter(error, body, names) from None

    def _held(self, wanted: _Wanted, path_of: Callable[[str], str]) -> Job:
        """Submit a job, and return it once it is final.

        Args:
            path_of: where the job with that id can be fetched later.

        Raises:
            TooManyHeld: nothing was submitted.
            StillRunning: the time is up. The job goes on.
        """
        seconds = affordable_seconds(self._request, limits.MAX_HOLD_SECONDS)
        with self._services.waits.place(self._owner, seconds) as hold:
            if hold is None:
                raise TooManyHeld(
                    "You, or all callers together, have as many responses held as is allowed; nothing was stored."
                    " Repeat the request, or send background: true to /v1/responses.",
                    headers=limits.retry_after(limits.NO_PLACE_RETRY_SECONDS * 1000),
                )
            job = self._taken(self._submit(wanted), hold)
            for _ in range(MOST_OTHER_TRIES):
                if _is_read(job):
                    job = self._taken(self._submit(wanted), hold)
        if job.status not in FINAL_STATUSES:
            raise StillRunning(
                f"It is still {job.status}. Repeat the request to wait again, or fetch it later: GET {path_of(job.id)}",
                headers=limits.retry_after(1000),
            )
        return job

    def _taken(self, job: Job, hold: Hold) -> Job:
        """Wait for the job, and return it. A result that is not kept is deleted."""
        if job.result is not None:
            return job
        queue, owner = self._services.queue, self._owner
        if job.status not in FINAL_STATUSES:
            hold.until_final(lambda: _found(queue.record(owner, job.id, "brief")).job)
        return _found(queue.take_record(owner, job.id)).job

    def _submit(self, wanted: _Wanted) -> Job:
        """Store the job, or return the one that an earlier try of the same request stored. Raises the refusal."""
        key = request_headers.idempotency_key(request_headers.one_header(self._request, "idempotency-key"))
        repeat = None if key else self._try()
        job = self._submitted(wanted, key, repeat)
        if job is None and key:
            raise NotFound("The response first sent with this Idempotency-Key is gone: it was deleted, or read once.")
        job = job or self._submitted(wanted, None, repeat)  # the same try joins no job twice
        if job is None:
            raise QueueUnavailable("The job cannot be read.", headers=limits.retry_after(1000))
        notes().job_id = job.id
        return job

    def _submitted(self, wanted: _Wanted, key: str | None, repeat: Try | None) -> Job | None:
        """Return the job that is stored now or was before; None if the earlier one has no answer any more."""
        queue = self._services.queue_of(wanted.job_type, wanted.request)
        job = NewJob(new_job_id(queue), wanted.request, wanted.job_type, key, repeat, wanted.openai)
        kept = {} if wanted.request.store else {"most_kept_seconds": MOST_KEPT_SECONDS}
        submission = Submission([job], queue, caller_of(self._request, self._principal), **kept)
        (outcome,) = verdicts.submit(self._services, submission)
        if isinstance(outcome, QueueUnavailable):  # the earlier one has no record any more
            return None
        if isinstance(outcome, Problem):
            raise outcome
        if "Idempotency-Replayed" not in outcome.headers or not _is_read(outcome.job):
            return outcome.job
        # Perhaps nobody has read it yet.
        taken = _found(self._services.queue.take_record(self._owner, outcome.job.id)).job
        return None if _is_read(taken) else taken

    def _try(self) -> Try | None:
        """Return which try of its client this request is; None for a client that does not say."""
        count = request_headers.one_header(self._request, RETRY_COUNT)
        if count is None or not count.isdecimal() or len(count) > 2:
            return None
        path = self._request.path.encode()
        return Try(hashlib.sha256(path + b"\n" + body_bytes(self._request)).hexdigest()[:32], int(count))

    def _look(self, response_id: str) -> Response:
        return _shown(self._services.queue.record(self._owner, job_id_of(response_id), "look"))


def require_plain(request: Request) -> None:
    """Raise InvalidParameter if the query asks for what is not supported, such as a stream."""
    for name, values in request_headers.query_values(request).items():
        harmless = {"stream": {"false"}, "include_obfuscation": {"false"}}.get(name.removesuffix("[]"), set())
        if not set(values) <= harmless:
            detail = f"{name[:32]!r} is not supported here: omit it."
            raise InvalidParameter(detail, param=name[:32], code="unsupported_parameter")


def _is_read(job: Job) -> bool:
    """Return whether the job is completed and comes without its answer, which is not kept once it was read."""
    return not job.store and is_completed(job) and job.result is None


def _found(record: Record | None) -> Record:
    """Return the record. Raises NotFound if there is none."""
    if record is None:
        raise NotFound("You have no response with that id.")
    return record


def _shown(record: Record | None) -> Response:
    """Return the record's response. Raises NotFound if it is none, or was not stored and has been read."""
    stored = stored_request(_found(record))
    if record is None or stored is None:
        raise NotFound("You have no response with that id.")
    return response_of(record.job, stored)


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
