"""A queue's figures at one moment, as one script reads them: jobs, throughput, failures, workers and dead letters."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lambda_router_queue.flow import Flow
from lambda_router_queue.queue_keys import LANES, PRIORITIES, QueueKeys
from lambda_router_queue.redis.wire import Broken
from lambda_router_worker.queue.connection import Connection, run_script
from lambda_router_worker.queue.scripts import LETTERS, STATS
from lambda_router_worker.queue.work_queue import SILENCE_MS

#: Workers that are listed one by one.
MOST_WORKERS = 200
#: Limits on the dead letters that are counted by code: as many as a queue keeps by default, and bytes. Redis serves
#: nobody else while the script copies them, which takes a few milliseconds.
MOST_LETTERS = 1_000
MOST_LETTER_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class PriorityStats:
    """One priority: jobs waiting, jobs in progress, and how long the oldest waiting job has waited, in seconds."""

    waiting: int
    running: int
    oldest_seconds: float | None


@dataclass(frozen=True)
class LivingWorker:
    """A worker that has reported lately.

    Attributes:
        slots: how many jobs it can process at a time.
        running: how many jobs it has claimed.
        silent_seconds: time since its last report.
        reason: why it claims nothing, such as its model server's trouble; None while it claims.
    """

    consumer: str
    slots: int
    running: int
    silent_seconds: float
    reason: str | None


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
        failed_by_code: failed jobs by error code. Workers older than these counts add only to ``failed``.
        living: the living workers, at most MOST_WORKERS.
        dead_by_code: dead letters by code, the newest ``dead_counted`` of them. Counted only on request.
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
    failed_by_code: dict[str, int] = field(default_factory=dict)
    living: list[LivingWorker] = field(default_factory=list)
    dead_by_code: dict[str, int] = field(default_factory=dict)
    dead_counted: int = 0


async def read_stats(redis: Connection, keys: QueueKeys, report: Callable[[str], None], *, by_code: bool) -> Stats:
    """Read the figures with one command. Raises one of REDIS_TROUBLE.

    Args:
        report: gets the name of each figure that holds no number.
        by_code: also count the dead letters by code, with a second command.
    """
    where = [*keys.streams, keys.flow, keys.workers, keys.scheduled, keys.dead]
    try:
        stats = _parsed(keys.queue, await run_script(redis, STATS, where, [SILENCE_MS, MOST_WORKERS]), report)
        if not by_code:
            return stats
        counted, pairs = await run_script(redis, LETTERS, [keys.dead], [MOST_LETTERS, MOST_LETTER_BYTES])
        return replace(stats, dead_by_code=_by_count(pairs), dead_counted=int(counted))
    except (TypeError, ValueError, LookupError):  # of another shape: so would be the replies that follow
        await redis.aclose()
        raise Broken("the reply belongs to another command") from None


def _parsed(queue: str, reply: Sequence[Any], report: Callable[[str], None]) -> Stats:
    now, line, counts, by_code, workers, members, scheduled, dead, per_stream, holders = reply
    now_ms = int(now)
    flow = Flow.from_line(line, now_ms, report)
    completed, failed, gap_ms, finished_at = counts
    held = fields_of(holders)
    living = [_worker(member, float(at), now_ms, held) for member, at in fields_of(members).items()]
    streams = [tuple(map(int, per_stream[place : place + 3])) for place in range(0, len(per_stream), 3)]
    return Stats(
        queue=queue,
        priorities={
            name: _priority(streams[place * LANES : (place + 1) * LANES], now_ms)
            for place, name in enumerate(PRIORITIES)
        },
        scheduled=int(scheduled),
        dead=int(dead),
        workers=int(workers),
        slots=flow.slots,
        closed={worker.consumer: worker.reason for worker in living if worker.reason is not None},
        completed=number_of(completed),
        failed=number_of(failed),
        per_minute=_per_minute(gap_ms, finished_at, now_ms),
        service_seconds=round(flow.service_ms / 1000, 3) or None,
        failed_by_code=_by_count(by_code),
        living=living,
    )


def fields_of(flat: Sequence[Any]) -> dict[str, Any]:
    """Return a dict of the alternating names and values that Redis lists."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def number_of(digits: str | None) -> int:
    """Parse a number; 0 if somebody wrote anything else."""
    return int(digits) if digits and re.fullmatch("[0-9]{1,18}", digits) else 0


def _by_count(pairs: Sequence[Any]) -> dict[str, int]:
    """Return counts by code, the largest first."""
    counts = {code: number_of(str(count)) for code, count in fields_of(pairs).items()}
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _priority(lanes: Iterable[tuple[int, ...]], now_ms: int) -> PriorityStats:
    waiting, running, since = zip(*lanes, strict=True)
    oldest = min(filter(None, since), default=None)
    return PriorityStats(
        sum(waiting), sum(running), None if oldest is None else max(0.0, round((now_ms - oldest) / 1000, 1))
    )


def _worker(member: str, at: float, now_ms: int, held: Mapping[str, Any]) -> LivingWorker:
    """Parse a member of the set of workers, as ``beat.lua`` writes it: concurrency, consumer, and perhaps a reason."""
    who, tab, reason = member.partition("\t")
    slots, _, consumer = who.partition(" ")
    seconds = max(0.0, round((now_ms - at) / 1000, 1))
    running = number_of(str(held.get(consumer, 0)))
    return LivingWorker(consumer, number_of(slots), running, seconds, reason if tab else None)


def _per_minute(gap: str, finished_at: str, now_ms: int) -> float | None:
    """Return the rate from the average gap between two finished jobs, or from the time since the last one if longer."""
    try:
        average = float(gap)
    except ValueError:  # none was measured, or somebody wrote anything else
        return None
    gap_ms = max(average, now_ms - (number_of(finished_at) or now_ms), 1.0)
    return round(60_000 / gap_ms, 1) if math.isfinite(gap_ms) else None
