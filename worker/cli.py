"""``python -m worker``: options, signals, and the parts put together."""

import asyncio
import os
import secrets
import signal
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import click
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from worker import health_probe
from worker.consumer import IDLE_WAIT_MS, Consumer
from worker.handlers import BadHandler, Handler, load_handler
from worker.openai_backend import OpenAIBackend
from worker.work_queue import WorkQueue

#: Longer than the longest command, the idle wait.
SOCKET_TIMEOUT_SECONDS = IDLE_WAIT_MS / 1000 + 4


@dataclass(frozen=True)
class Options:
    """What the command line and the environment say."""

    redis_url: str
    queue: str
    concurrency: int
    health_port: int | None
    health_host: str
    handler: str | None
    backend: str | None
    model: str | None


def _redis_url(_: click.Context, __: click.Parameter, value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise click.BadParameter("wants redis://host:6379/0, or rediss://user:password@host:6379/0 with TLS.")
    return value


@click.command()
@click.option(
    "--redis-url",
    envvar="REDIS_URL",
    required=True,
    callback=_redis_url,
    help="Set REDIS_URL rather than this: process lists show options.",
)
@click.option("--queue", envvar="WORKER_QUEUE", default="tinyllama", show_default=True, help="Queue to work.")
@click.option(
    "--handler",
    envvar="WORKER_HANDLER",
    metavar="MODULE:FUNCTION",
    help="Python callable that does the work.",
)
@click.option(
    "--backend",
    envvar="WORKER_BACKEND",
    metavar="URL",
    help="OpenAI-compatible server, such as http://127.0.0.1:8080/v1.",
)
@click.option("--model", envvar="WORKER_MODEL", help="Model's name on that server.")
@click.option(
    "--concurrency",
    envvar="WORKER_CONCURRENCY",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Jobs at a time.",
)
@click.option(
    "--health-port",
    envvar="WORKER_HEALTH_PORT",
    type=click.IntRange(0, 65535),
    help="Answer GET /health on this port.",
)
@click.option(
    "--health-host",
    envvar="WORKER_HEALTH_HOST",
    default="127.0.0.1",
    show_default=True,
    help="Address for it.",
)
def main(**given: object) -> None:
    """Work the jobs of a queue until SIGTERM, then finish what was begun and end."""
    options = Options(**given)  # type: ignore[arg-type]
    if bool(options.handler) == bool(options.backend):
        raise click.UsageError("give either --handler module:function or --backend URL --model NAME.")
    if options.backend and not options.model:
        raise click.UsageError("--backend wants --model NAME, the model's name on that server.")
    try:
        asyncio.run(_run(options))
    except BadHandler as error:
        raise click.UsageError(str(error)) from None


async def _run(options: Options) -> None:
    async with AsyncExitStack() as stack:
        handler = await _handler(options, stack)
        redis = await stack.enter_async_context(_connect(options.redis_url))
        consumer = Consumer(WorkQueue(redis, options.queue, _consumer_name()), handler, options.concurrency)
        if options.health_port is not None:
            await stack.enter_async_context(
                await health_probe.serve(consumer, options.health_port, options.health_host)
            )
        await consumer.run(_stop_on_signal())


async def _handler(options: Options, stack: AsyncExitStack) -> Handler:
    if options.handler:
        return load_handler(options.handler)
    return await stack.enter_async_context(OpenAIBackend(options.backend or "", options.model or ""))


def _connect(url: str) -> Redis:
    """Retries are the consumer's: it backs off with jitter and says so in the log."""
    return Redis.from_url(
        url,
        socket_timeout=SOCKET_TIMEOUT_SECONDS,
        socket_connect_timeout=SOCKET_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        protocol=2,
    )


def _consumer_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def _stop_on_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    return stop
