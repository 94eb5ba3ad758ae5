"""`lambda-router-worker exporter`: the queue's metrics while no worker runs, so that KEDA can start the first one."""

import asyncio
import signal
from contextlib import aclosing
from typing import Any

import click

from lambda_router_worker.cli_options import health_host_option, option, queue_options, stack_option
from lambda_router_worker.operations.http_pages import Request, cannot_listen, listen, response
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.processing import event_loop
from lambda_router_worker.prometheus.queue_figures import QueueFigures
from lambda_router_worker.queue.connection import connect

_DEFAULT_PORT = 8081


@click.command()
@queue_options
@stack_option
@option(
    "--health-port",
    type=click.IntRange(0, 65535),
    default=_DEFAULT_PORT,
    help="Answer GET /metrics on this port, and any other path as GET /health.",
)
@health_host_option
def exporter(**options: Any) -> None:
    """Export the queue's metrics to Prometheus, without processing jobs.

    Workers export them, too. This command does so while no worker runs, so that KEDA can start the first one.
    """
    event_loop.run(_export(options))


async def _export(options: dict[str, Any]) -> None:
    from lambda_router_worker.prometheus.exposition import Exposition, Origin

    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):  # the first process of a container has no default for them
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    async with aclosing(connect(options["redis_url"])) as redis:
        figures = QueueFigures(Operations(redis, options["queue"]))
        page = Exposition(Origin(options["stack"], options["queue"]), figures)

        async def answer(request: Request) -> bytes:
            if request.path == "/metrics":
                return await page.answer(request)
            return response("200 OK", "application/json", b'{"status": "ok"}')

        host, port = options["health_host"], options["health_port"]
        try:
            server = await listen(answer, port, host)
        except (OSError, UnicodeError) as error:
            raise click.ClickException(cannot_listen(host, port, error)) from None
        async with server:
            await stop.wait()
