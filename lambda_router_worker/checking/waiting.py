"""Check of the queue itself: its jobs, its workers, and the version of its protocol."""

import json
from collections.abc import AsyncIterator
from typing import Any

from lambda_router_queue.models import PROTOCOL_VERSION
from lambda_router_queue.redis.wire import Refused
from lambda_router_worker.checking.box import Box
from lambda_router_worker.checking.findings import Finding, in_short, refusal, well, wrong
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.operations.queue_stats import Stats
from lambda_router_worker.queue.queue_names import UnusedQueue, refuse_unused

#: Names of other queues to show, and workers that claim nothing.
_MOST = 3


async def queue(box: Box) -> Finding:
    """Check that this worker can read the jobs that wait; tell how many there are, and who works."""
    try:
        await refuse_unused(box.redis, box.queue)
        stats = await Operations(box.redis, box.queue).stats()
        versions = {document.get("v") async for document in first_documents(box)}
    except UnusedQueue as unused:
        return well(in_short(unused).rstrip("."))
    except Refused as error:
        return refusal(error, box.queue)
    foreign = sorted(str(each) for each in versions - {PROTOCOL_VERSION})
    if foreign:
        found = f"jobs of protocol version {in_short(', '.join(foreign))} wait"
        why = "this worker moves them to the dead letters unread"
        fix = "update this worker, or the router; then: lambda-router-worker dead retry --all"
        return wrong(found, wanted=f"version {PROTOCOL_VERSION}", why=why, fix=fix)
    return well(_figures(stats))


def _figures(stats: Stats) -> str:
    waiting = sum(each.waiting for each in stats.priorities.values())
    running = sum(each.running for each in stats.priorities.values())
    closed = [f"{worker} claims nothing: {reason}" for worker, reason in list(stats.closed.items())[:_MOST]]
    jobs = f"{waiting} waiting, {running} running, {stats.scheduled} scheduled, {stats.dead} dead"
    workers = f"{stats.workers} {'worker' if stats.workers == 1 else 'workers'} ({stats.slots} jobs at a time)"
    return "; ".join([jobs, workers, f"protocol {PROTOCOL_VERSION}", *map(in_short, closed)])


async def first_documents(box: Box) -> AsyncIterator[dict[str, Any]]:
    """Yield the first envelope of each stream as JSON. Anybody may have written it; other content is skipped."""
    for stream in box.keys.streams:
        for _, fields in await box.redis.execute("XRANGE", stream, "-", "+", "COUNT", 1):
            entry = dict(zip(fields[::2], fields[1::2], strict=True))
            try:
                document = json.loads(entry.get("job", ""))
            except (ValueError, RecursionError):
                continue
            if isinstance(document, dict):
                yield document
