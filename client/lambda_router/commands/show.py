"""``lambda-router show``."""

import json

import click

from lambda_router import tokens
from lambda_router.calling.api import Api, Reply
from lambda_router.calling.job_ids import job_id_of
from lambda_router.calling.job_table import model_of
from lambda_router.calling.steps import end_of_job
from lambda_router.calling.terminal import one_line, write_text
from lambda_router.calling.waiting import place_of
from lambda_router.commands.options import json_option, say, server_option
from lambda_router.errors import JobFailed

_TIMES = ("created_at", "started_at", "finished_at", "expires_at")


@click.command()
@click.argument("job_id", metavar="ID", type=job_id_of)
@click.option("--text", "only_text", is_flag=True, help="Print the answer and nothing else.")
@server_option
@json_option
def command(job_id: str, only_text: bool, server: str | None, as_json: bool) -> None:
    """Show one job: how it stands, and its answer once it is there.

    ID may begin with job_, resp_ or chatcmpl-. With --text, the exit status is 3 if the job has no answer.
    The result of a job with "store": false can be read once only, and this reads it.
    """
    api = Api(tokens.found_server(server))
    try:
        reply = api.call("GET", f"/v1/jobs/{job_id}")
    finally:
        api.close()
    if as_json:
        click.echo(json.dumps(reply.document))
    elif only_text:
        _write_answer(reply, job_id)
    else:
        _describe(reply)


def _describe(reply: Reply) -> None:
    job = reply.document
    rows = [("id", job.get("id")), ("status", job.get("status")), ("type", job.get("type")), ("model", model_of(job))]
    rows += [("where", place_of(job, reply.clock)), *((name, job.get(name)) for name in _TIMES)]
    for name in ("error", "last_error"):
        error = job.get(name)
        rows.append((name, f"{error.get('code')}: {error.get('message')}" if isinstance(error, dict) else error))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        if value is not None and value != "":
            click.echo(f"{name:{width}}  {one_line(value, 1_000)}")
    result = job.get("result")
    text = result.get("text") if isinstance(result, dict) else None
    if isinstance(text, str):
        write_text(f"\n{text}" if text.endswith("\n") else f"\n{text}\n")
    elif result is not None:
        click.echo(f"\n{json.dumps(result, indent=2)}")


def _write_answer(reply: Reply, job_id: str) -> None:
    ended = end_of_job(reply.document)
    if ended is None:
        raise JobFailed(f"{job_id} is {one_line(reply.document.get('status'), 20)}: its answer is not there yet")
    if ended.status not in {"completed", "incomplete"}:
        raise JobFailed(f"{job_id} is {ended.status}: {one_line(ended.reason, 600) or 'no reason given'}")
    if ended.text is None:
        say("The result is not text: --json shows it.")
        return
    write_text(ended.text if ended.text.endswith("\n") else f"{ended.text}\n")
