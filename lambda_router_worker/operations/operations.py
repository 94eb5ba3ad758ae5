"""An operator's view of a queue: its figures and its dead letters."""

import json
import math
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from lambda_router_queue.flow import FIGURES, Flow
from lambda_router_queue.models import Envelope, rfc3339
from lambda_router_queue.queue_keys import GROUP, LANES, PRIORITIES, QueueKeys
from lambda_router_queue.redis.wire import Argument
from lambda_router_worker.queue.connection import Connection, run_script
from lambda_router_worker.queue.scripts import LENGTHS, REVIVE, lease_keys
from lambda_router_worker.queue.work_queue import RELEASED, SILENCE_MS
from lambda_router_worker.worker_log import odd_figure

#: A requeued job is kept as long as any job is by default (``ROUTER_STORE_RESULT_SECONDS``).
REVIVED_STORE_MS = 86_400_000
#: Number of dead letters to read at a time, with their envelopes.
PAGE = 20
#: The last millisecond that a date can express.
_LATEST_MS = 253_402_300_799_999


@dataclass(frozen=True)
class DeadLetter:
    """A job that was given up. ``envelope`` is None if the stream's entry could not be read."""

    entry_id: str
    job_id: str
    code: str
    message: str
    attempts: int
    at: str
    envelope: Envelope | None


@dataclass(frozen=True)
class PriorityStats:
    """One priority: jobs waiting, jobs in progress, and how long the oldest waiting job has waited, in seconds."""

    waiting: int
    running: int
    oldest_seconds: float | None


@dataclass(frozen=True)
class Stats:
    """A queue at one moment.

    Attributes:
        scheduled: jobs that are delayed or wait for another attempt.
        slots: jobs that all living workers can process at a time, without those workers that claim nothing.
        closed: consumer name of each living worker that claims nothing, and the reason.
        completed: number of completed jobs since the queue began; ``failed`` likewise.
        per_minute: rate at which jobs finish; None if none have.
        service_seconds: average processing time of a job; None if none was measured.
    """

    queue: str
    priorities: dict[str, PriorityStats]
    scheduled: int
    dead: int
    workers: int
    slots: int
    closed: dict[str, str]
    completed: int
    failed: int
    per_minute: float | None
    service_seconds: float | None


class Operations:
    """Reads one queue and manages its dead letters."""

    def __init__(self, redis: Connection, queue: str) -> None:
        self._redis = redis
        self.keys = QueueKeys(queue)

    async def stats(self) -> Stats:
        """Return the queue's figures."""
        keys = self.keys
        now_ms = await self._now_ms()
        fields = _fields(await self._redis.execute("HGETALL", keys.flow))
        figures = " ".join(fields.get(name, "0") for name in FIGURES)
        flow = Flow.from_line(figures, now_ms, odd_figure)
        heard_of = now_ms - SILENCE_MS, now_ms + SILENCE_MS
        living = await self._redis.execute("ZRANGE", keys.workers, *heard_of, "BYSCORE")
        lengths = list(map(int, await run_script(self._redis, LENGTHS, keys.streams, [])))
        return Stats(
            queue=keys.queue,
            priorities={name: await self._priority(place, lengths, now_ms) for place, name in enumerate(PRIORITIES)},
            scheduled=await self._redis.execute("ZCARD", keys.scheduled),
            dead=await self._redis.execute("XLEN", keys.dead),
            workers=len(living),
            slots=flow.slots,
            closed=dict(_closed(member) for member in living if "\t" in member),
            completed=_number(fields.get("completed")),
            failed=_number(fields.get("failed")),
            per_minute=_per_minute(fields, now_ms),
            service_seconds=round(flow.service_ms / 1000, 3) or None,
        )

    async def letters(self) -> AsyncIterator[DeadLetter]:
        """Yield every dead letter, the oldest first."""
        start = "-"
        while rows := await self._redis.execute("XRANGE", self.keys.dead, start, "+", "COUNT", PAGE):
            for entry_id, flat in rows:
                yield _letter(entry_id, _fields(flat))
            start = f"({rows[-1][0]}"

    async def letter(self, job_id: str) -> DeadLetter | None:
        """Return the newest dead letter of that job, or None."""
        found = None
        async for letter in self.letters():
            if letter.job_id == job_id:
                found = letter
        return found

    async def retry(self, letter: DeadLetter) -> str:
        """Requeue a dead letter. Returns ``queued``, or why not: ``open`` (it already is), ``gone``, ``unreadable``."""
        job = letter.envelope
        if job is None:
            return "unreadable"
        now_ms = await self._now_ms()
        deadline = now_ms + job.deadline_at - job.created_at
        fresh = job.model_copy(update={"created_at": now_ms, "deadline_at": deadline})
        stream = PRIORITIES.index(job.priority) * LANES + LANES - 1  # the last lane: many may come back at once
        keys = lease_keys(self.keys, job.id, self.keys.streams[stream], job.owner)
        record = {
            "type": job.type,
            "queue": job.queue,
            "owner": job.owner,
            "priority": job.priority,
            "metadata": json.dumps(job.metadata),
            "request_id": job.request_id,
            "traceparent": job.traceparent,
        }
        times = (fresh.model_dump_json(exclude_unset=True), now_ms, deadline, REVIVED_STORE_MS, stream)
        fields = [part for pair in record.items() for part in pair]
        args: list[Argument] = [job.id, letter.entry_id, *times, *fields]
        return str(await run_script(self._redis, REVIVE, keys, args))

    async def discard(self, letter: DeadLetter) -> bool:
        """Discard a dead letter, and return whether it was still there."""
        return bool(await self._redis.execute("XDEL", self.keys.dead, letter.entry_id))

    async def _priority(self, place: int, lengths: Sequence[int], now_ms: int) -> PriorityStats:
        waiting = running = 0
        oldest: int | None = None
        for number in range(place * LANES, (place + 1) * LANES):
            length = lengths[number]
            pending, first = await self._stream(self.keys.streams[number]) if length else (0, None)
            # Several commands read this: jobs that arrive and are claimed in between must not make a number negative.
            waiting, running = waiting + max(0, length - pending), running + pending
            oldest = min(filter(None, (oldest, first)), default=None)
        return PriorityStats(waiting, running, None if oldest is None else max(0.0, round((now_ms - oldest) / 1000, 1)))

    async def _stream(self, stream: str) -> tuple[int, int | None]:
        """Return how many entries workers hold, and the time (ms) of the first waiting entry."""
        groups = map(_fields, await self._redis.execute("XINFO", "GROUPS", stream))
        group = next((group for group in groups if group["name"] == GROUP), None)
        after = f"({group['last-delivered-id']}" if group else "-"
        first = await self._redis.execute("XRANGE", stream, after, "+", "COUNT", 1)
        since = int(first[0][0].split("-")[0]) if first else None
        if not group or not group["pending"]:
            return 0, since
        released, oldest = await self._released(stream)
        return group["pending"] - released, min(filter(None, (since, oldest)), default=None)

    async def _released(self, stream: str) -> tuple[int, int | None]:
        """Return the number of entries that were given back and wait, and the time (ms) of the first of them."""
        holders = dict((await self._redis.execute("XPENDING", stream, GROUP))[3] or ())
        first = await self._redis.execute("XPENDING", stream, GROUP, "-", "+", 1, RELEASED)
        return (int(holders.get(RELEASED, 0)), int(first[0][0].split("-")[0])) if first else (0, None)

    async def _now_ms(self) -> int:
        """Return the server's time in milliseconds since 1970, which is used everywhere in a queue."""
        seconds, microseconds = map(int, await self._redis.execute("TIME"))
        return seconds * 1000 + microseconds // 1000


def _fields(flat: Sequence[Any]) -> dict[str, Any]:
    """Return a dict of the alternating names and values that Redis lists."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _letter(entry_id: str, fields: dict[str, str]) -> DeadLetter:
    try:
        envelope = Envelope.model_validate_json(fields["job"])
    except (ValueError, LookupError):
        envelope = None
    return DeadLetter(
        entry_id=entry_id,
        job_id=fields.get("id", ""),
        code=fields.get("code", ""),
        message=fields.get("message", ""),
        attempts=_number(fields.get("attempts")),
        at=rfc3339(min(_number(fields.get("at")), _LATEST_MS)),
        envelope=envelope,
    )


def _number(digits: str | None) -> int:
    """Parse a number; 0 if somebody wrote anything else."""
    return int(digits) if digits and re.fullmatch("[0-9]{1,18}", digits) else 0


def _closed(member: str) -> tuple[str, str]:
    """Split a member of the set of workers, as ``beat.lua`` writes it, into consumer and reason."""
    who, _, reason = member.partition("\t")
    return who.partition(" ")[2], reason


def _per_minute(flow: dict[str, str], now_ms: int) -> float | None:
    """Return the rate from the average gap between two finished jobs, or from the time since the last one if longer."""
    try:
        average = float(flow["gap_ms"])
    except (LookupError, ValueError):  # none was measured, or somebody wrote anything else
        return None
    gap_ms = max(average, now_ms - (_number(flow.get("finished_at")) or now_ms), 1.0)
    return round(60_000 / gap_ms, 1) if math.isfinite(gap_ms) else None
