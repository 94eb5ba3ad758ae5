"""The first reply of a port, to find out what listens there: Redis, TLS, a web server, or nobody who talks."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from lambda_router_queue.redis.wire import CERTIFICATE_WANTED, NOT_WHOLE, SILENT_END, Broken, Replies, command
from lambda_router_worker.queue.shared_connection import wants_certificate

REDIS: Final = "the reply is Redis's"
SILENCE: Final = "no reply"


@asynccontextmanager
async def opened(
    ip: str, port: int, seconds: float, context: ssl.SSLContext | None = None, host: str | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a connection, which was made within that time. Raises OSError.

    It is cut off at the end: a server that stalls could delay an orderly end of TLS.
    """
    name = host if context is not None else None
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(ip, port, ssl=context, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def first_reply(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float, *, ask: bool = True
) -> str:
    """Return what the reply to PING is: one of the names above, or of ``lambda_router_queue.redis.wire``.

    Args:
        ask: send PING. A server that hangs up may leave a last word, which is lost if something was sent to it since.
    """
    replies = Replies(errors="replace")
    if ask:
        writer.write(command("PING"))
    try:
        async with asyncio.timeout(seconds):
            while data := await reader.read(4_096):
                replies.feed(data)
                if replies.take() is not NOT_WHOLE:
                    return REDIS
    except TimeoutError:
        return SILENCE
    except Broken as error:
        return str(error)
    except ssl.SSLError as error:
        return CERTIFICATE_WANTED if wants_certificate(error) else SILENT_END
    except OSError:
        return SILENT_END
    return SILENT_END
