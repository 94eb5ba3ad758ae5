"""Ids of jobs: the same digits as ``job_…``, ``resp_…``, ``chatcmpl-…``, or in the form of a UUID."""

import re

import click

from lambda_router.calling.terminal import one_line

_ID = re.compile(
    r"(?:job_|resp_|chatcmpl-)?([0-9a-f]{8})(-?)([0-9a-f]{4})\2([0-9a-f]{4})\2([0-9a-f]{4})\2([0-9a-f]{12})"
)


def job_id_of(typed: str) -> str:
    """Return the id as ``/v1/jobs`` has it. Raises click.BadParameter if it is none."""
    found = _ID.fullmatch(typed.strip().lower())
    if found is None:
        raise click.BadParameter(
            f"{one_line(typed, 60)!r} is not an id: give job_, resp_ or chatcmpl- and 32 hexadecimal digits, or a UUID."
        )
    return "job_" + "".join(found.group(1, 3, 4, 5, 6))


def response_of(job_id: str) -> str:
    """Return the id under which ``/v1/responses`` has a job."""
    return f"resp_{job_id.removeprefix('job_')}"
