"""Two HTTP endpoints for the worker's supervisor: one tells whether it is alive, the other whether it takes jobs.

Nobody should restart a worker because its model server or Redis is down. So only the second one returns 503 for that.
"""

import asyncio
import json

from lambda_router_worker.processing.consumer import Consumer
from lambda_router_worker.queue.eviction import Seen
from lambda_router_worker.queue.work_queue import SILENCE_MS

#: An idle worker hears from Redis every second, so this much silence is an outage.
SILENCE_SECONDS = SILENCE_MS / 1000
READ_TIMEOUT_SECONDS = 5.0


async def serve(consumer: Consumer, memory: Seen, port: int, host: str) -> asyncio.Server:
    """Serve ``GET /ready`` on that port, and any other path as ``GET /health``. Port 0 takes a free port.

    Args:
        memory: the newest finding on whether Redis may delete jobs.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_SECONDS):
                request = await reader.readuntil(b"\r\n\r\n")
            writer.write(_response(consumer, memory, request))
            await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a probe that does not speak HTTP gets no response
        finally:
            writer.close()

    return await asyncio.start_server(answer, host, port)


def _response(consumer: Consumer, memory: Seen, request: bytes) -> bytes:
    status, document = "200 OK", {"status": "ok", "running": consumer.running}
    if request.partition(b"\r\n")[0].split(b" ")[1:2] == [b"/ready"]:
        reason = _why_not_ready(consumer, memory)
        document["status"] = "not ready" if reason else "ready"
        if reason:
            status = "503 Service Unavailable"
            document["reason"] = reason
    body = json.dumps(document).encode()
    head = (f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close")
    return "\r\n".join((*head, "", "")).encode() + body


def _why_not_ready(consumer: Consumer, memory: Seen) -> str:
    if consumer.silent_seconds >= SILENCE_SECONDS:
        return f"Redis has been silent for {consumer.silent_seconds:.0f} s"
    return consumer.gate.reason or memory.reason
