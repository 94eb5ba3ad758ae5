"""``lambda-router-worker stats`` and ``lambda-router-worker dead …``, for people and, with ``--json``, for programs."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from typing import Any

import click

from lambda_router_queue.redis.troubles import explain
from lambda_router_worker.cli_options import queue_options
from lambda_router_worker.operations.operations import DeadLetter, Operations, Stats
from lambda_router_worker.queue.connection import REDIS_TROUBLE, connect
from lambda_router_worker.queue.queue_names import UnusedQueue, refuse_unused
from lambda_router_worker.terminal import visible

_json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON.")
_all_option = click.option("--all", "every", is_flag=True, help="Every dead letter.")


def _ask[Answer](redis_url: str, queue: str, question: Callable[[Operations], Awaitable[Answer]]) -> Answer:
    """Run one operation. If Redis does not reply or lacks the queue, exit with a message that never repeats the URL."""

    async def ask() -> Answer:
        redis = connect(redis_url)
        try:
            await refuse_unused(redis, queue)
            return await question(Operations(redis, queue))
        finally:
            await redis.aclose()

    try:
        return asyncio.run(ask())
    except UnusedQueue as error:
        raise click.ClickException(str(error)) from None
    except REDIS_TROUBLE as error:
        raise click.ClickException(explain(error)) from None


@click.command()
@queue_options
@_json_option
def stats(redis_url: str, queue: str, as_json: bool) -> None:
    """Show depth and age per priority, running jobs, living workers and throughput."""
    figures = _ask(redis_url, queue, lambda operations: operations.stats())
    _tell([json.dumps(asdict(figures))] if as_json else _table(figures))


@click.group()
def dead() -> None:
    """List, show, requeue or discard dead letters: jobs that were given up."""


@dead.command("list")
@queue_options
@_json_option
def list_letters(redis_url: str, queue: str, as_json: bool) -> None:
    """List every dead letter, the oldest first."""
    letters = _ask(redis_url, queue, _collect)
    lines = [f"{each.job_id}  {each.at}  attempts {each.attempts}  {each.code}: {each.message}" for each in letters]
    _tell([json.dumps([_facts(letter) for letter in letters])] if as_json else lines or ["no dead letters"])


@dead.command()
@queue_options
@click.argument("job_id")
@click.option("--input", "with_input", is_flag=True, help="Show the caller's input too.")
@_json_option
def show(redis_url: str, queue: str, job_id: str, with_input: bool, as_json: bool) -> None:
    """Show one dead letter; without --input, nothing that its caller wrote."""
    letter = _ask(redis_url, queue, lambda operations: _wanted(operations, job_id))
    facts = _facts(letter, with_input)
    _tell([json.dumps(facts)] if as_json else [f"{name}: {value}" for name, value in facts.items()])


@dead.command()
@queue_options
@click.argument("job_id", required=False)
@_all_option
@_json_option
def retry(redis_url: str, queue: str, job_id: str | None, every: bool, as_json: bool) -> None:
    """Requeue one dead letter, or all of them with --all."""
    _each((redis_url, queue), job_id, every, as_json, lambda operations, letter: operations.retry(letter))


@dead.command()
@queue_options
@click.argument("job_id", required=False)
@_all_option
@_json_option
def discard(redis_url: str, queue: str, job_id: str | None, every: bool, as_json: bool) -> None:
    """Discard one dead letter, or all of them with --all."""

    async def throw(operations: Operations, letter: DeadLetter) -> str:
        return "discarded" if await operations.discard(letter) else "gone"

    _each((redis_url, queue), job_id, every, as_json, throw)


type Act = Callable[[Operations, DeadLetter], Awaitable[str]]


def _each(where: tuple[str, str], job_id: str | None, every: bool, as_json: bool, act: Act) -> None:
    """Do one thing to one dead letter or to all. ``where`` is the URL and the queue."""
    if bool(job_id) == every:
        raise click.UsageError("give a job's id, or --all.")

    async def act_on_all(operations: Operations) -> dict[str, str]:
        letters = [await _wanted(operations, job_id)] if job_id else await _collect(operations)
        results: dict[str, str] = {}
        with click.progressbar(letters, label="dead letters", hidden=len(letters) < 2, file=sys.stderr) as bar:
            for letter in bar:
                results[letter.job_id] = await act(operations, letter)
        return results

    results: dict[str, str] = _ask(where[0], where[1], act_on_all)
    lines = [f"{job}: {result}" for job, result in results.items()] or ["no dead letters"]
    _tell([json.dumps(results)] if as_json else lines)


async def _collect(operations: Operations) -> list[DeadLetter]:
    return [letter async for letter in operations.letters()]


async def _wanted(operations: Operations, job_id: str) -> DeadLetter:
    letter = await operations.letter(job_id)
    if letter is None:
        raise click.ClickException(f"there is no dead letter of {job_id!r}; 'dead list' lists them.")
    return letter


def _facts(letter: DeadLetter, with_input: bool = False) -> dict[str, Any]:
    facts = asdict(letter)
    job = facts.pop("envelope")
    for name in ("type", "priority", "owner", "request_id", "traceparent") if letter.envelope else ():
        facts[name] = getattr(letter.envelope, name)
    if with_input and job is not None:
        facts["input"] = letter.envelope.input if letter.envelope else None
    return facts


def _tell(lines: Iterable[str]) -> None:
    """Write lines, with unprintable characters escaped: anybody may have written their content."""
    for line in lines:
        click.echo(visible(line))


def _table(figures: Stats) -> list[str]:
    rows = [f"{'priority':<10}{'waiting':>9}{'running':>9}{'oldest':>11}"]
    for name, one in figures.priorities.items():
        oldest = "-" if one.oldest_seconds is None else f"{one.oldest_seconds:.1f} s"
        rows.append(f"{name:<10}{one.waiting:>9}{one.running:>9}{oldest:>11}")
    rate = "-" if figures.per_minute is None else f"{figures.per_minute:g} a minute"
    service = "-" if figures.service_seconds is None else f"{figures.service_seconds:g} s a job"
    rows += [
        f"scheduled  {figures.scheduled}",
        f"dead       {figures.dead}",
        f"workers    {figures.workers} ({figures.slots} jobs at a time)",
        f"completed  {figures.completed} ({rate}, {service})",
        f"failed     {figures.failed}",
        *(f"claims nothing: {consumer}: {reason}" for consumer, reason in figures.closed.items()),
    ]
    return rows
