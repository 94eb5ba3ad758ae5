"""Two HTTP endpoints for the worker's supervisor: one tells whether it is alive, the other whether it takes jobs.

Nobody should restart a worker because its model server or Redis is down. So only the second one returns 503 for that.
"""

import asyncio
import json
from typing import Any

from lambda_router_worker.operations.http_pages import Answer, Request, listen, response
from lambda_router_worker.processing.consumer import Consumer
from lambda_router_worker.queue.eviction import Seen
from lambda_router_worker.queue.work_queue import SILENCE_MS

#: An idle worker hears from Redis every second, so this much silence is an outage.
SILENCE_SECONDS = SILENCE_MS / 1000
METRICS_PATH = "/metrics"


async def serve(
    consumer: Consumer, memory: Seen, port: int, host: str, metrics: Answer | None = None
) -> asyncio.Server:
    """Serve ``GET /ready``, ``/metrics``, and any other path as ``GET /health``. Port 0 takes a free port.

    Args:
        memory: the newest finding on whether Redis may delete jobs.
        metrics: answers requests for ``/metrics``.
    """

    async def answer(request: Request) -> bytes:
        if metrics is not None and request.path == METRICS_PATH:
            return await metrics(request)
        reason = _why_not_ready(consumer, memory) if request.path == "/ready" else None
        return _response(consumer.running, reason)

    return await listen(answer, port, host)


def _response(running: int, reason: str | None) -> bytes:
    """Return the response of ``/ready``, or of ``/health`` if the reason is None."""
    document: dict[str, Any] = {"status": "ok" if reason is None else "not ready" if reason else "ready"}
    document["running"] = running
    if reason:
        document["reason"] = reason
    status = "503 Service Unavailable" if reason else "200 OK"
    return response(status, "application/json", json.dumps(document).encode())


def _why_not_ready(consumer: Consumer, memory: Seen) -> str:
    if consumer.silent_seconds >= SILENCE_SECONDS:
        return f"Redis has been silent for {consumer.silent_seconds:.0f} s"
    return consumer.gate.reason or memory.reason
