"""Bodies that are sent in pieces: events while a job runs, and JSON that comes after more than 25 seconds."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from chalicelib.api.responses import NO_STORE
from chalicelib.api.streamed import StreamedResponse
from chalicelib.errors import Problem
from chalicelib.jobs.job_records import Record
from chalicelib.jobs.live_output import Emitted
from chalicelib.jobs.waits import Hold
from chalicelib.observability import log
from chalicelib.openai.chat_results import BrokenOff, already_read
from chalicelib.openai.openai_errors import error_code
from chalicelib.openai.response_object import is_read
from chalicelib.wiring import Services
from lambda_router_queue import deadlines
from lambda_router_queue.models import FINAL_STATUSES, Job

#: Something is sent at least this often, so that nothing between us and the caller takes the silence for an end.
QUIET_SECONDS = 15.0

#: A job that emits nothing is looked at this often, until a worker has started it.
LOOK_SECONDS = 1.0

#: ``follow`` may end this much before its time is up; that counts as time that is up.
_EARLY_SECONDS = 2.0

#: A comment (https://html.spec.whatwg.org/multipage/server-sent-events.html), which OpenAI's clients skip.
KEEPALIVE = b": keepalive\n\n"
DONE = b"data: [DONE]\n\n"

type Event = Mapping[str, Any]
type Clock = Callable[[], float]


class Grammar(Protocol):
    """The events of one job in one of OpenAI's APIs."""

    @property
    def awaits_start(self) -> bool: ...

    def begin(self) -> Iterator[dict[str, Any]]: ...

    def started(self) -> Iterator[dict[str, Any]]: ...

    def take(self, delta: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]: ...

    def finish(self, job: Job) -> Iterator[dict[str, Any]]: ...

    def broken(self, off: BrokenOff) -> dict[str, Any]: ...


class Body:
    """The pieces of a body. Closing it releases the resources, such as the place that the request has taken."""

    def __init__(self, pieces: Iterator[bytes], resources: ExitStack) -> None:
        self._pieces = pieces
        self._resources = resources

    def __iter__(self) -> "Body":
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Read no further."""
        self._pieces = iter(())
        self._resources.close()


@dataclass(frozen=True)
class Followed:
    """A job whose output is followed for its caller.

    Attributes:
        ends: when to stop, by the monotonic clock.
    """

    services: Services
    owner: str
    job: Job
    ends: float
    clock: Clock = time.monotonic

    def events(self, grammar: Grammar) -> Iterator[bytes]:
        """Yield a job's output as server-sent events. One that ends early ends with an error and without ``[DONE]``.

        While there is no event, yield a comment if nothing was sent for long, or else an empty piece: so the sender
        finds out whether the caller is gone.
        """
        sent_at = self.clock()
        for event in self._events(grammar):
            if event is not None or self.clock() - sent_at >= QUIET_SECONDS:
                yield event or KEEPALIVE
                sent_at = self.clock()
            else:
                yield b""

    def _events(self, grammar: Grammar) -> Iterator[bytes | None]:
        """Yield the events, and None whenever there is none."""
        yield from map(server_sent, grammar.begin())
        look_at = self.clock()
        try:
            for each in self._source():
                if isinstance(each, Record):
                    yield from self._last(grammar, each.job)
                    return
                if each is not None:
                    yield from _or_none(map(server_sent, grammar.take(each.delta)))
                    continue
                if grammar.awaits_start and self.clock() >= look_at:
                    look_at = self.clock() + LOOK_SECONDS
                    yield from map(server_sent, grammar.started() if self._is_started() else ())
                yield None
            raise self._ended()
        except BrokenOff as off:
            if off.fetch:  # otherwise the job has failed or is gone, as its caller knows
                self._log(off.code)
            yield server_sent(grammar.broken(off))
        except Problem as problem:
            why = BrokenOff(error_code(type(problem)), problem.detail or problem.title)
            self._log(why.code, getattr(problem, "reason", None))
            yield server_sent(grammar.broken(why))

    def _source(self) -> Iterator[Emitted | Record | None]:
        if self.job.result is not None and not self.job.store:  # it was taken, and its log is gone
            return iter([Record(self.job, None)])
        return self.services.live.follow(self.owner, self.job.id, "", self.ends)

    def _last(self, grammar: Grammar, job: Job) -> Iterator[bytes]:
        """Yield the last events. A result that is not kept is deleted first, but only if they can be told."""
        events: Iterable[bytes] = map(server_sent, grammar.finish(job))
        if not job.store and self.job.result is None:
            events = [*events]
            taken = self.services.queue.take_record(self.owner, job.id)
            if taken is None or is_read(taken.job):
                raise already_read()
        yield from events
        yield DONE

    def _is_started(self) -> bool:
        """Return whether a worker has started the job. It matters little, so no failure ends a stream."""
        with suppress(Problem), deadlines.within(deadlines.REQUEST_SECONDS):
            record = self.services.queue.record(self.owner, self.job.id, "brief")
            return record is not None and record.job.started_at is not None
        return False

    def _log(self, code: str, reason: str | None = None) -> None:
        explained = {} if reason is None else {"reason": reason}
        log.warning("stream_broken_off", extra={"job_id": self.job.id, "code": code} | explained)

    def _ended(self) -> BrokenOff:
        """Return why there was no final record."""
        if self.clock() >= self.ends - _EARLY_SECONDS:
            return BrokenOff("still_running", "The time for one stream is up, and the job goes on.")
        return BrokenOff("not_found", "There is no such response any more.", fetch=False)


def _or_none(events: Iterator[bytes]) -> Iterator[bytes | None]:
    """Yield the events, or None if there is none: a handler's own objects are no events, and may come for minutes."""
    event = None
    for event in events:
        yield event
    if event is None:
        yield None


def event_stream(body: Body, headers: dict[str, str] | None = None) -> StreamedResponse:
    """Return the response that sends these events."""
    return StreamedResponse(body, NO_STORE | {"Content-Type": "text/event-stream"} | (headers or {}))


def server_sent(event: Event) -> bytes:
    """Return an event in the form of server-sent events, its name first if it has one.

    ASCII only: some clients take other characters, such as U+2028, for the end of a line.
    """
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event, separators=(',', ':'))}\n\n".encode()


def late_json(
    job: Job, hold: Hold, taken: Callable[[Job, Hold], Job], shown: Callable[[Job], str], clock: Clock = time.monotonic
) -> Iterator[bytes]:
    """Yield a JSON document that comes late: white space, with which JSON may begin, and then the document.

    Args:
        taken: waits for the job until it is final or the hold ends, and returns it.
        shown: the document of a job that is final, or is not final when the time is up.

    Raises:
        Problem: there is no such document. The body breaks off.
    """
    while job.status not in FINAL_STATUSES and clock() < hold.ends:
        yield b"\n"
        with deadlines.within(deadlines.REQUEST_SECONDS):
            job = taken(job, Hold(min(hold.ends, clock() + QUIET_SECONDS)))
    yield shown(job).encode()
