"""A response as the events of a stream, numbered, in the order that OpenAI's clients expect.

For the same log and the same final job, the events and their numbers are the same at every replay.

The items come in the order in which the worker emits them, and one is closed when the next one begins. What is emitted
for an item that is closed already is handled by its kind:

- Text is sent as a further delta of the message, because readers print deltas and must not miss any.
- A thought is not sent: it is in the final response.
- A fragment of a call ends the stream with an error: its reader may have run the function with what came before.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.openai.chat_results import BrokenOff, Call, LiveAnswer, Piece, already_read, restarted
from chalicelib.openai.response_object import (
    answer_in,
    call_item,
    is_read,
    message_item,
    reasoning_item,
    response_id_of,
    response_of,
)
from chalicelib.openai.response_request import StoredRequest
from lambda_router_queue.models import Job

type Event = dict[str, Any]

#: The number of ``response.in_progress``. Those of the output are larger.
IN_PROGRESS_NUMBER = 2

#: The last event, by the response's status. There is none for a cancelled response.
_LAST = {"completed": "completed", "incomplete": "incomplete", "failed": "failed", "cancelled": "failed"}

#: Members of a job as it was when it was stored.
_NEW = {"started_at": None, "finished_at": None, "result": None, "error": None, "last_error": None}


class ResponseStream:
    """The events of one response.

    Args:
        job: the response's job, in whatever state.
        after: the number of the last event that the reader has; those up to it are left out.
    """

    def __init__(self, job: Job, stored: StoredRequest, after: int = -1) -> None:
        self._job = job
        self._stored = stored
        self._after = after
        self._answer = LiveAnswer()
        self._items: dict[tuple[str, int], _Item] = {}
        self._open: _Item | None = None
        self._next = 0
        self._is_started = False
        #: The number of the last event, once the job is final.
        self.last_number: int | None = None

    @property
    def awaits_start(self) -> bool:
        """True while an event is due as soon as a worker has started the job."""
        return not self._is_started

    def begin(self) -> Iterator[Event]:
        """Yield the first events, which say nothing that only a worker knows."""
        queued = self._response(self._job.model_copy(update=_NEW | {"status": "queued"}))
        yield from self._numbered({"type": "response.created", "response": queued})
        yield from self._numbered({"type": "response.queued", "response": queued})
        if self._job.status == "in_progress":
            yield from self.started()

    def started(self) -> Iterator[Event]:
        """Yield the event of a job that a worker has started, once."""
        if not self._is_started:
            self._is_started = True
            begun = self._response(self._job.model_copy(update=_NEW | {"status": "in_progress"}))
            yield from self._numbered({"type": "response.in_progress", "response": begun})

    def take(self, delta: Mapping[str, Any] | None) -> Iterator[Event]:
        """Yield the events of an entry of the log.

        Args:
            delta: None for the mark of another attempt.

        Raises:
            BrokenOff: no event of this grammar can say what follows.
        """
        yield from self.started()
        if delta is None:
            if self._items or self._after > IN_PROGRESS_NUMBER:
                raise restarted()
            self._answer = LiveAnswer()
            return
        for piece in self._answer.pieces(delta):
            yield from self._piece(piece)

    def finish(self, job: Job) -> Iterator[Event]:
        """Yield the last events. The very last one comes even to a reader who claims to have it.

        Raises:
            BrokenOff: the answer is not what was sent, or is gone.
        """
        if is_read(job):
            raise already_read()
        if job.started_at is not None:
            yield from self.started()
        response = self._response(job)
        if (answer := answer_in(job)) is not None:
            for piece in self._answer.rest(answer):
                yield from self._piece(piece)
            if not answer.text and not answer.calls:  # the final response then has an empty message
                yield from self._piece(Piece("text", ""))
            yield from self._close(response["status"])
        self.last_number = self._next
        self._after = min(self._after, self._next - 1)
        yield from self._numbered({"type": f"response.{_LAST[response['status']]}", "response": response})

    def broken(self, off: BrokenOff) -> Event:
        """Return the event that ends a stream before its end, in both forms that clients read as an error."""
        fetch = f" Fetch it: GET /v1/responses/{response_id_of(self._job.id)}" if off.fetch else ""
        facts = {"code": off.code, "message": f"{off.message}{fetch}", "param": None}
        number = max(self._next, self._after + 1)
        return {"type": "error", "sequence_number": number, **facts, "error": {"type": "server_error", **facts}}

    def _response(self, job: Job) -> dict[str, Any]:
        return response_of(job, self._stored).model_dump(mode="json")

    def _numbered(self, *events: Event) -> Iterator[Event]:
        for event in events:
            number, self._next = self._next, self._next + 1
            if number > self._after:
                yield {"type": event["type"], "sequence_number": number} | event

    def _piece(self, piece: Piece) -> Iterator[Event]:
        item = self._items.get((piece.kind, piece.place))
        if item is None:
            if piece.kind == "reasoning" and self._items:
                return
            yield from self._close("completed")
            item = self._open = _Item(self._job.id, piece, len(self._items))
            self._items[piece.kind, piece.place] = item
            yield from self._numbered(*item.opening())
        elif item is not self._open and piece.kind == "reasoning":
            return
        elif item is not self._open and piece.kind == "call":
            raise BrokenOff("changed", "The worker added to a call that was complete.")
        if piece.text:
            yield from self._numbered(item.delta(piece.text))

    def _close(self, status: str) -> Iterator[Event]:
        """Yield the events that close the open item, if there is one."""
        item, self._open = self._open, None
        if item is not None:
            yield from self._numbered(*item.closing(status))


class _Item:
    """An output item that is being sent."""

    def __init__(self, job_id: str, piece: Piece, output_index: int) -> None:
        self._job_id = job_id
        self._kind = piece.kind
        self._place = piece.place
        self._call = piece.call or Call("", "", "")
        self._texts: list[str] = []
        self._at = {"item_id": self._shown("")["id"], "output_index": output_index}

    def opening(self) -> Iterator[Event]:
        """Yield the events that open the item, and its one part if it has parts."""
        bare = self._shown("in_progress")
        part = bare["content"][0] if "content" in bare else None
        if part:
            bare["content"] = []
        yield self._event("output_item.added", item=bare)
        if part:
            yield self._part_event("content_part.added", part=part)

    def delta(self, text: str) -> Event:
        """Return the event of one more piece of text."""
        self._texts.append(text)
        match self._kind:
            case "reasoning":
                return self._part_event("reasoning_text.delta", delta=text)
            case "text":
                return self._part_event("output_text.delta", delta=text, logprobs=[])
            case "call":
                return self._event("function_call_arguments.delta", delta=text) | self._at

    def closing(self, status: str) -> Iterator[Event]:
        """Yield the events that close the item."""
        whole, shown = "".join(self._texts), self._shown(status)
        match self._kind:
            case "reasoning":
                yield self._part_event("reasoning_text.done", text=whole)
            case "text":
                yield self._part_event("output_text.done", text=whole, logprobs=[])
            case "call":
                name = self._call.name
                yield self._event("function_call_arguments.done", name=name, arguments=whole) | self._at
        if "content" in shown:
            yield self._part_event("content_part.done", part=shown["content"][0])
        yield self._event("output_item.done", item=shown)

    def _shown(self, status: str) -> dict[str, Any]:
        whole = "".join(self._texts)
        match self._kind:
            case "reasoning":
                return reasoning_item(self._job_id, whole, status)
            case "text":
                return message_item(self._job_id, whole, status)
            case "call":
                return call_item(self._job_id, self._place, self._call._replace(arguments=whole), status)

    def _event(self, name: str, /, **members: Any) -> Event:
        return {"type": f"response.{name}", "output_index": self._at["output_index"], **members}

    def _part_event(self, name: str, /, **members: Any) -> Event:
        return self._event(name, **members) | self._at | {"content_index": 0}
