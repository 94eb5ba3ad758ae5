"""A handler for ``WORKER_HANDLER`` that needs for a job as many seconds as its prompt says."""

import asyncio

from lambda_router_worker import Job


async def work(job: Job) -> dict[str, str]:
    await asyncio.sleep(float(str(job.input["prompt"])))
    return {"text": "done"}
