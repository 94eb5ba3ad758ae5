"""Ids of jobs, as the router generates them."""

from chalicelib.jobs.job_queue import new_job_id
from lambda_router_queue.queue_keys import QueueKeys


def any_job_id() -> str:
    """Return the id of a job that does not exist yet, in the queue that tests use unless they name another."""
    return new_job_id(QueueKeys("tinyllama"))
