"""``lambda-router-worker top``: the figures of ``stats`` on a screen that is drawn again and again.

Each time costs Redis two scripts that read and write nothing, whatever waits in the queue.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from lambda_router_queue.redis.troubles import explain
from lambda_router_worker.cli_options import Duration, queue_options
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.queue.connection import REDIS_TROUBLE, connect
from lambda_router_worker.queue.queue_names import UnusedQueue, refuse_unused

if TYPE_CHECKING:
    from lambda_router_worker.operations.top_screen import Screen
    from lambda_router_worker.operations.top_view import View

#: The picture is drawn at least this often, so that the age of old figures can be seen to grow.
DRAW_SECONDS = 1.0
_INSTEAD = "use lambda-router-worker stats, or stats --json for programs."


@click.command()
@queue_options
@click.option(
    "--every", "every_ms", type=Duration(), default="2s", show_default=True, metavar="TIME", help="Time between looks."
)
def top(redis_url: str, queue: str, every_ms: int) -> None:
    """Watch the queue: the figures of stats, drawn again every 2 s until q or Ctrl-C."""
    if not every_ms:
        raise click.BadParameter("0 would leave Redis no rest; give 1s or more.", param_hint="'--every'")
    # rich is imported here: a worker that processes jobs does without.
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal or not console.file.isatty():
        raise click.UsageError(f"top draws on a terminal, and standard output is none; {_INSTEAD}")
    if console.is_dumb_terminal:
        raise click.UsageError(f"this terminal cannot move its cursor (TERM is dumb or unknown); {_INSTEAD}")
    from lambda_router_worker.operations.top_screen import Screen
    from lambda_router_worker.operations.top_view import View

    view = View(queue, plain=console.options.ascii_only)
    try:
        asyncio.run(_watch(redis_url, queue, every_ms / 1000, view, lambda: Screen(console)))
    except UnusedQueue as error:
        raise click.ClickException(str(error)) from None
    except REDIS_TROUBLE as error:
        raise click.ClickException(explain(error)) from None


async def _watch(redis_url: str, queue: str, seconds: float, view: "View", make: Callable[[], "Screen"]) -> None:
    redis = connect(redis_url)
    try:
        await refuse_unused(redis, queue)
        operations = Operations(redis, queue, view.odd)
        view.heard(await operations.stats(by_code=True), time.monotonic())
        screen = make()
        with screen.entered():
            looking = asyncio.create_task(_look(operations, view, seconds, screen.changed.set))
            try:
                await _draw(screen, view, 2 * seconds + DRAW_SECONDS)
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
    finally:
        await redis.aclose()


async def _draw(screen: "Screen", view: "View", late_seconds: float) -> None:
    """Draw whenever something has changed, and every second."""
    while not screen.over.is_set():
        screen.draw(lambda width, height: view.picture(width, height, time.monotonic(), late_seconds))
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAW_SECONDS):
                await screen.changed.wait()


async def _look(operations: Operations, view: "View", seconds: float, changed: Callable[[], None]) -> None:
    """Read the figures again and again, also while Redis is away."""
    while True:
        await asyncio.sleep(seconds)
        try:
            view.heard(await operations.stats(by_code=True), time.monotonic())
        except REDIS_TROUBLE as error:
            view.lost(explain(error))
        changed()
