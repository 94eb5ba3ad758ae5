"""``lambda-router jobs``."""

import json
import shlex
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from lambda_router import environment, servers, tokens
from lambda_router.calling.api import Api, Reply
from lambda_router.calling.job_table import row_of, table
from lambda_router.calling.steps import FINAL
from lambda_router.calling.terminal import is_terminal, one_line
from lambda_router.commands.options import json_option, say, server_option
from lambda_router.errors import BadServer

_PAGE = 100
#: One request may end early with few jobs or none (docs/contract.md, "GET /v1/jobs").
_MOST_REQUESTS = 50
_STATUSES = sorted((FINAL | {"queued", "in_progress"}) - {"incomplete"})


@click.command()
@click.option(
    "-n", "--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Maximum number of jobs."
)
@click.option("--status", type=click.Choice(_STATUSES), help="Only jobs with this status.")
@click.option("--cursor", help="Continue an earlier list, which printed this.")
@server_option
@json_option
def command(limit: int, status: str | None, cursor: str | None, server: str | None, as_json: bool) -> None:
    """List your jobs, newest first.

    PLACE is the place in line and the expected start of a waiting job. MODEL is the queue until there is an answer.
    """
    found = tokens.found_server(server)
    api = Api(found)
    query = {"status": status} if status else {}
    jobs: list[dict[str, Any]] = []
    now, more = time.time(), None
    try:
        for reply in _pages(api, query, limit, cursor):
            jobs += _jobs_in(reply)
            now, more = reply.clock, reply.document.get("next_cursor")
    finally:
        api.close()
    more = more if isinstance(more, str) else None
    if as_json:
        click.echo(json.dumps({"object": "list", "data": jobs, "has_more": more is not None, "next_cursor": more}))
        return
    _show(jobs, now)
    if more is not None:
        options = f"{servers.option_for(found)} --limit {limit}" + (f" --status {status}" if status else "")
        say(f"There are more: lambda-router jobs{options} --cursor {shlex.quote(one_line(more, 600))}")


def _pages(api: Api, query: dict[str, str], limit: int, cursor: str | None) -> Iterator[Reply]:
    for _ in range(_MOST_REQUESTS):
        place = {"cursor": cursor} if cursor else {}
        reply = api.call("GET", "/v1/jobs", params={**query, **place, "limit": str(min(limit, _PAGE))})
        yield reply
        limit -= len(_jobs_in(reply))
        cursor = reply.document.get("next_cursor")
        if not isinstance(cursor, str) or limit <= 0:
            return


def _jobs_in(reply: Reply) -> list[dict[str, Any]]:
    found = reply.document.get("data")
    if not isinstance(found, list) or not all(isinstance(job, dict) for job in found):
        raise BadServer("the list of jobs is no list of objects")
    return found


def _show(jobs: list[dict[str, Any]], now: float) -> None:
    if not jobs:
        say("No jobs.")
        return
    is_coloured = is_terminal(sys.stdout) and environment.wants_colour()
    for line, colour in table([row_of(job, now) for job in jobs]):
        click.echo(click.style(line, fg=colour) if colour and is_coloured else line)
