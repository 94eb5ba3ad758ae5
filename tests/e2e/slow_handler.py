"""A handler for ``WORKER_HANDLER`` that needs two seconds for a job."""

import asyncio

from lambda_router_queue.models import Envelope


async def work(job: Envelope) -> dict[str, str]:
    await asyncio.sleep(2)
    return {"text": job.type}
