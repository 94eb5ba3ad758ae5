"""``lambda-router-worker stats``, for people and, with ``--json``, for programs; and what the other commands share."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict

import click

from lambda_router_queue.redis.troubles import explain
from lambda_router_worker.cli_options import queue_options
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.operations.queue_stats import Stats
from lambda_router_worker.queue.connection import REDIS_TROUBLE, connect
from lambda_router_worker.queue.queue_names import UnusedQueue, refuse_unused
from lambda_router_worker.terminal import visible

json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON.")


def ask[Answer](redis_url: str, queue: str, question: Callable[[Operations], Awaitable[Answer]]) -> Answer:
    """Run one operation. If Redis does not reply or lacks the queue, exit with a message that never repeats the URL."""

    async def answer() -> Answer:
        redis = connect(redis_url)
        try:
            await refuse_unused(redis, queue)
            return await question(Operations(redis, queue))
        finally:
            await redis.aclose()

    try:
        return asyncio.run(answer())
    except UnusedQueue as error:
        raise click.ClickException(str(error)) from None
    except REDIS_TROUBLE as error:
        raise click.ClickException(explain(error)) from None


def tell(lines: Iterable[str]) -> None:
    """Write lines, with unprintable characters escaped: anybody may have written their content."""
    for line in lines:
        click.echo(visible(line))


@click.command()
@queue_options
@json_option
def stats(redis_url: str, queue: str, as_json: bool) -> None:
    """Show depth and age per priority, running jobs, living workers, throughput, failures and dead letters."""
    figures = ask(redis_url, queue, lambda operations: operations.stats(by_code=True))
    tell([json.dumps(asdict(figures))] if as_json else _table(figures))


def _table(figures: Stats) -> list[str]:
    rows = [f"{'priority':<10}{'waiting':>9}{'running':>9}{'oldest':>11}"]
    for name, one in figures.priorities.items():
        oldest = "-" if one.oldest_seconds is None else f"{one.oldest_seconds:.1f} s"
        rows.append(f"{name:<10}{one.waiting:>9}{one.running:>9}{oldest:>11}")
    rate = "-" if figures.per_minute is None else f"{figures.per_minute:g} a minute"
    service = "-" if figures.service_seconds is None else f"{figures.service_seconds:g} s a job"
    part = "" if figures.dead_counted >= figures.dead else f", of the newest {figures.dead_counted}"
    rows += [
        f"scheduled  {figures.scheduled}",
        f"dead       {figures.dead}{_codes(figures.dead_by_code, part)}",
        f"workers    {figures.workers} ({figures.slots} jobs at a time)",
        f"completed  {figures.completed} ({rate}, {service})",
        f"failed     {figures.failed}{_codes(figures.failed_by_code)}",
        *(f"claims nothing: {consumer}: {reason}" for consumer, reason in figures.closed.items()),
    ]
    return rows


def _codes(counts: Mapping[str, int], of_which: str = "") -> str:
    listed = ", ".join(f"{code} {count}" for code, count in counts.items())
    return f" ({listed}{of_which})" if listed else ""
