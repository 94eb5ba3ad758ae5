"""An HTTP answer for whoever supervises the worker: 200 while Redis answers, 503 when it has been silent."""

import asyncio
import json

from worker.consumer import Consumer

#: An idle worker hears from Redis every second; this long is an outage.
SILENCE_SECONDS = 15.0
READ_TIMEOUT_SECONDS = 5.0


async def serve(consumer: Consumer, port: int, host: str) -> asyncio.Server:
    """Answer any request on that port; port 0 takes a free one."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
            writer.write(_response(consumer))
            await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a probe that does not speak HTTP gets no answer
        finally:
            writer.close()

    return await asyncio.start_server(answer, host, port)


def _response(consumer: Consumer) -> bytes:
    well = consumer.silent_seconds < SILENCE_SECONDS
    body = json.dumps({"status": "ok" if well else "redis is silent", "running": consumer.running}).encode()
    status = "200 OK" if well else "503 Service Unavailable"
    head = (f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close")
    return "\r\n".join((*head, "", "")).encode() + body
