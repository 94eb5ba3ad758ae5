"""A job's live output as server-sent events, or as a page of JSON: ``GET /v1/jobs/{id}/events``.

Responses here are whole, wherever the app runs: each holds what there is, and the client asks again for what follows.
"""

import json
import time
from typing import Any, NamedTuple

from chalice.app import Request, Response

from chalicelib import limits
from chalicelib.api import request_headers
from chalicelib.api.guard import affordable_seconds
from chalicelib.api.responses import NO_STORE, json_response
from chalicelib.errors import MalformedRequest, NotFound
from chalicelib.jobs.live_output import EVENT_ID, LISTEN_SECONDS, Emitted
from chalicelib.wiring import Services
from lambda_router_queue import deadlines
from lambda_router_queue.models import FINAL_STATUSES, Job

#: Bytes of output after which a response ends. The client asks for more at once.
MAX_PAGE_BYTES = 1024 * 1024
#: Most bytes of output in the response that also has the final job. Lambda returns 6 MB, and a result may need nearly
#: all of them.
BESIDE_JOB_BYTES = 64 * 1024
#: Bytes that an event takes besides its output: id, type and, in Lambda's JSON, a backslash for each quote.
EVENT_BYTES = 128
#: The id behind the final job: there is nothing more.
END = "end"
#: Milliseconds after which a browser connects again.
RETRY_MS = 1_000

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, LISTEN_SECONDS


class Page(NamedTuple):
    """What a response holds.

    Attributes:
        job: the job, once it is final.
        retry_ms: when to ask again, in milliseconds.
    """

    entries: list[Emitted]
    job: Job | None
    retry_ms: int = RETRY_MS


def event_response(request: Request, services: Services, owner: str, job_id: str) -> Response:
    """Return what there is behind the id that the client has; wait for it if there is nothing.

    Raises NotFound, MalformedRequest, NotAcceptable, QueueUnavailable.
    """
    is_json = not request_headers.wants_events(request_headers.header_values(request, "accept"))
    after = _after(request)
    if after == END:  # tells a browser not to connect again
        return Response("", NO_STORE, 204)
    job = services.queue.look(owner, job_id)
    if job is None:
        raise NotFound("You have no job with that id.")
    page = Page([], None) if request.method == "HEAD" else _awaited(request, services, owner, job, after)
    hint = limits.retry_after(page.retry_ms) if page.retry_ms > RETRY_MS else {}
    return json_response(_as_json(page), headers=hint) if is_json else Response(_as_events(page), _HEADERS | hint)


_HEADERS = NO_STORE | {"Content-Type": request_headers.EVENT_STREAM}


def _awaited(request: Request, services: Services, owner: str, job: Job, after: str) -> Page:
    """Return a page; without a free place to wait at once, and if it is empty, with a hint to come back later."""
    seconds = affordable_seconds(request, limits.MAX_WAIT_SECONDS)
    with services.waits.place(owner, seconds) as hold:
        page = _page(services, owner, job, after, hold.ends if hold else 0.0)
    has_something = page.entries or page.job or hold
    return page if has_something else page._replace(retry_ms=limits.NO_PLACE_RETRY_SECONDS * 1000)


def _page(services: Services, owner: str, job: Job | None, after: str, ends: float) -> Page:
    """Return the output behind ``after``; if there is none, wait for it until that time of the monotonic clock."""
    entries: list[Emitted] = []
    size, pause = 0, 0.0
    while job is not None:
        deadlines.renew(deadlines.REQUEST_SECONDS)
        read = services.live.read(job, owner, after, 0 if entries else pause)
        is_more, after = read.after != after and not read.is_over, read.after
        for entry in read.entries:
            entries.append(entry)
            size += entry.size + EVENT_BYTES
            if size >= MAX_PAGE_BYTES:
                return Page(entries, None)
        if is_more:
            continue
        if job.status in FINAL_STATUSES:
            is_last = size <= BESIDE_JOB_BYTES
            return Page(entries, services.queue.take(owner, job.id) if is_last else None)
        job = services.queue.look(owner, job.id)
        is_final = job is not None and job.status in FINAL_STATUSES
        if not is_final and (entries or time.monotonic() >= ends):
            break
        pause = 0.0 if is_final else max(0.0, min(pause * 1.5 or _FIRST_PAUSE, _LONGEST_PAUSE, ends - time.monotonic()))
    return Page(entries, None)


def _after(request: Request) -> str:
    """Return the id of the last event that the client has, from the header or else the query; empty if it has none."""
    query = request_headers.single_query(request, frozenset({"after"}))
    header = request_headers.one_header(request, "last-event-id") or ""
    ids = {"Last-Event-ID": header, "after": query.get("after", "")}
    for name, sent in ids.items():
        if sent and sent != END and not EVENT_ID.fullmatch(sent):
            raise MalformedRequest(f"{name} is {sent[:64]!r}; send the id of an event of this job, or omit it.")
    return header or ids["after"]


def _shown(page: Page) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the events, each with id, type and content."""
    shown: list[tuple[str, str, dict[str, Any]]] = [
        (entry.id, "restarted", {}) if entry.delta is None else (entry.id, "delta", {"delta": dict(entry.delta)})
        for entry in page.entries
    ]
    if page.job is not None:
        shown.append((END, "job", {"job": page.job.model_dump(mode="json")}))
    return shown


def _as_json(page: Page) -> str:
    data = [{"id": event_id, "type": kind} | content for event_id, kind, content in _shown(page)]
    return json.dumps({"object": "list", "data": data, "has_more": page.job is None}, ensure_ascii=False)


def _as_events(page: Page) -> str:
    """Return the events in the form of the HTML standard, section 9.2 (server-sent events)."""
    lines = [f"retry: {page.retry_ms}\n\n"]
    for event_id, kind, content in _shown(page):
        data = json.dumps(content.get(kind, {}), ensure_ascii=False)
        lines.append(f"id: {event_id}\nevent: {kind}\ndata: {data}\n\n")
    return "".join(lines)
