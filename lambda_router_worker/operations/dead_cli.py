"""``lambda-router-worker dead …``: list, show, requeue or discard dead letters, chosen by id or by code and age."""

import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import click

from lambda_router_queue.models import MAX_ERROR_CODE_BYTES
from lambda_router_worker.cli_options import Duration, Matching, queue_options
from lambda_router_worker.operations.dead_letters import AGES, OLDER, DeadLetter, Summary, Wanted
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.operations.operations_cli import ask, json_option, tell

#: Letters that one listing shows: as many as a queue keeps by default.
MOST_LISTED = 1_000

_CHOICES = [
    click.option("--code", metavar="CODE", help="Only those with this code."),
    click.option("--older-than", "older_ms", type=Duration(), metavar="AGE", help="Only those, such as 1h or 2d."),
    click.option("--newer-than", "newer_ms", type=Duration(), metavar="AGE", help="Only those, such as 15m."),
]


def _chosen(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose letters by code and age."""
    for decorate in reversed(_CHOICES):
        command = decorate(command)
    return command


@click.group()
def dead() -> None:
    """List, show, requeue or discard dead letters: jobs that were given up."""


@dead.command("list")
@queue_options
@_chosen
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=MOST_LISTED,
    show_default=True,
    metavar="N",
    help="Most to list; 0 for all.",
)
@click.option(
    "--after", type=Matching("[0-9]{1,19}-[0-9]{1,19}", "1795401218203-0"), metavar="ENTRY", help="Go on behind it."
)
@click.option("--summary", "only_sums", is_flag=True, help="Only how many there are, by code and age.")
@json_option
def list_letters(redis_url: str, queue: str, limit: int, only_sums: bool, as_json: bool, **choice: Any) -> None:
    """List dead letters, the oldest first, and how many there are by code and age."""
    wanted = _wanted(**choice)
    listing = ask(redis_url, queue, lambda operations: _listing(operations, wanted, limit))
    if as_json:
        tell([json.dumps(listing.sums() if only_sums else listing.letters)])
    else:
        tell([*([] if only_sums else map(_line, listing.letters)), *listing.table()])
    if listing.behind:
        click.echo(f"these are the first {limit}; for the next, --after {listing.behind}; for all, --limit 0", err=True)


class Listing(NamedTuple):
    """Dead letters that were listed.

    Attributes:
        dead: number of dead letters in the queue, wanted or not.
        behind: the last entry that was looked at, if there are more behind it.
    """

    letters: list[dict[str, Any]]
    summary: Summary
    dead: int
    behind: str | None

    def sums(self) -> dict[str, Any]:
        """Return the summary for programs."""
        summary = self.summary
        return {"dead": self.dead, "letters": summary.letters, "by_code": summary.by_code, "after": self.behind}

    def table(self) -> list[str]:
        """Return the summary for people."""
        ages = [*AGES, OLDER]
        if not self.letters:
            return ["no dead letters" if not self.dead else f"none of the {self.dead} dead letters is wanted"]
        width = min(max(len(code) for code in ("code", *self.summary.by_code)), MAX_ERROR_CODE_BYTES) + 2
        heads = [*(f"< {age}" for age in AGES), OLDER]
        rows = [f"{code:<{width}}" + "".join(f"{counts[age]:>8}" for age in ages) for code, counts in self._codes()]
        return ["", f"{'code':<{width}}" + "".join(f"{head:>8}" for head in heads), *rows]

    def _codes(self) -> list[tuple[str, dict[str, int]]]:
        return sorted(self.summary.by_code.items(), key=lambda pair: (-sum(pair[1].values()), pair[0]))


async def _listing(operations: Operations, wanted: Wanted, limit: int) -> Listing:
    now_ms, dead_letters = await operations.now_ms(), await operations.dead()
    letters: list[dict[str, Any]] = []
    summary, behind = Summary(), None
    async for letter in operations.letters(wanted, now_ms):
        if not wanted.has(letter):
            continue
        if limit and summary.letters == limit:
            behind = str(letters[-1]["entry_id"])
            break
        letters.append(_facts(letter))
        summary.add(letter, now_ms)
    return Listing(letters, summary, dead_letters, behind)


def _wanted(code: str | None, older_ms: int | None, newer_ms: int | None, after: str | None = None) -> Wanted:
    if older_ms is not None and newer_ms is not None and older_ms >= newer_ms:
        raise click.UsageError("no letter is both older than --older-than and newer than --newer-than; swap the two.")
    return Wanted(code, older_ms, newer_ms, after)


def _line(facts: dict[str, Any]) -> str:
    return "{job_id}  {at}  attempts {attempts}  {code}: {message}".format(**facts)


@dead.command()
@queue_options
@click.argument("job_id")
@click.option("--input", "with_input", is_flag=True, help="Show the caller's input too.")
@json_option
def show(redis_url: str, queue: str, job_id: str, with_input: bool, as_json: bool) -> None:
    """Show one dead letter; without --input, nothing that its caller wrote."""
    letter = ask(redis_url, queue, lambda operations: _of_job(operations, job_id))
    facts = _facts(letter, with_input)
    tell([json.dumps(facts)] if as_json else [f"{name}: {value}" for name, value in facts.items()])


type Act = Callable[[Operations, DeadLetter], Awaitable[str]]


def _acting(act: Act) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a command that does one thing to one dead letter, or to all that are wanted."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @queue_options
        @click.argument("job_id", required=False)
        @click.option("--all", "every", is_flag=True, help="Every dead letter, or those that the next three choose.")
        @_chosen
        @json_option
        def run(redis_url: str, queue: str, job_id: str | None, every: bool, as_json: bool, **choice: Any) -> None:
            if bool(job_id) == every:
                raise click.UsageError("give a job's id, or --all.")
            if job_id and any(value is not None for value in choice.values()):
                raise click.UsageError("--code, --older-than and --newer-than go with --all, not with a job's id.")
            wanted = _wanted(**choice)
            results: dict[str, str] = ask(redis_url, queue, lambda operations: _each(operations, job_id, wanted, act))
            lines = [f"{job}: {result}" for job, result in results.items()] or ["no dead letters"]
            tell([json.dumps(results)] if as_json else lines)

        run.__doc__ = command.__doc__
        return dead.command(command.__name__)(run)

    return decorate


async def _each(operations: Operations, job_id: str | None, wanted: Wanted, act: Act) -> dict[str, str]:
    if job_id:
        letter = await _of_job(operations, job_id)
        return {letter.job_id: await act(operations, letter)}
    now_ms = await operations.now_ms()
    found = [letter.entry_id async for letter in operations.letters(wanted, now_ms) if wanted.has(letter)]
    results: dict[str, str] = {}
    if not found:
        return results
    # Read again, since all of them with their inputs might not fit into memory; but not those that died meanwhile.
    letters = operations.letters(replace(wanted, last=found[-1]), now_ms)
    with click.progressbar(length=len(found), label=_label(found), hidden=len(found) < 2, file=sys.stderr) as bar:
        async for letter in letters:
            if wanted.has(letter):
                results[letter.job_id] = await act(operations, letter)
                bar.update(1)
    return results


def _label(found: Sequence[str]) -> str:
    return f"{len(found)} dead letters"


async def _retry(operations: Operations, letter: DeadLetter) -> str:
    return await operations.retry(letter)


async def _discard(operations: Operations, letter: DeadLetter) -> str:
    return "discarded" if await operations.discard(letter) else "gone"


@_acting(_retry)
def retry() -> None:
    """Requeue one dead letter, or all of them with --all."""


@_acting(_discard)
def discard() -> None:
    """Discard one dead letter, or all of them with --all."""


async def _of_job(operations: Operations, job_id: str) -> DeadLetter:
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
