"""The handler of the workers in these tests: writes down what it was given."""

import asyncio
import json
import os

from lambda_router_queue.models import Envelope

_LOG = os.open(os.environ["ROUTER_FAULT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)  # noqa: TID251 (all a worker hands to its handler)
#: What a job takes.
_WORK_SECONDS = int(os.environ.get("ROUTER_FAULT_WORK_MS", "0")) / 1000  # noqa: TID251 (as above)


async def work(job: Envelope) -> dict[str, str]:
    """One line for each time that a job is begun."""
    given = {"id": job.id, "key": job.metadata["key"], "prompt": job.input["prompt"]}
    os.write(_LOG, f"{json.dumps(given)}\n".encode())
    await asyncio.sleep(_WORK_SECONDS)
    return {"key": job.metadata["key"]}
