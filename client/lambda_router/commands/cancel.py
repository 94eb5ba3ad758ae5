"""``lambda-router cancel``."""

import json

import click

from lambda_router import tokens
from lambda_router.calling.api import Api
from lambda_router.calling.job_ids import job_id_of
from lambda_router.calling.terminal import one_line
from lambda_router.commands.options import json_option, server_option


@click.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True, type=job_id_of)
@server_option
@json_option
def command(job_ids: tuple[str, ...], server: str | None, as_json: bool) -> None:
    """Cancel jobs. A job that has already ended stays as it is.

    ID may begin with job_, resp_ or chatcmpl-. With --json each job is a line.
    """
    api = Api(tokens.found_server(server))
    try:
        for job_id in job_ids:
            job = api.call("DELETE", f"/v1/jobs/{job_id}").document
            click.echo(json.dumps(job) if as_json else f"{job_id} is {one_line(job.get('status'), 20)}")
    finally:
        api.close()
