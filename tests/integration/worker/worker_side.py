"""What the tests of the worker share: handlers, what may become of a job meanwhile, a consumer run until it is done."""

import asyncio
from collections.abc import Callable
from typing import Any

import redis

from lambda_router_queue.models import Envelope
from tests.conftest import Router
from tests.integration.conftest import ReadJob
from tests.integration.in_redis import KEYS
from tests.integration.worker.worker_hand import working
from tests.patience import soon


def is_final(read: ReadJob, *job_ids: str) -> Callable[[], bool]:
    return lambda: all(read(job_id)["status"] not in {"queued", "in_progress"} for job_id in job_ids)


def eventually_final(redis_url: str, job_id: str) -> bool:
    """Whether the record says so, whether or not the HTTP side can show it."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as db:
        return db.hget(KEYS.job(job_id), "status") in {"completed", "failed"}


async def upper(job: Envelope) -> Any:
    return {"text": str(job.input["prompt"]).upper()}


class Gate:
    """A handler that holds its jobs until it is opened, and counts them."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = 0
        self.most = 0

    async def __call__(self, job: Envelope) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.open.wait()
        self.inside -= 1
        return "done"


def work_all(redis_url: str, handler: Any, done: Callable[[], bool], concurrency: int = 1, seconds: float = 10) -> None:
    """Run a consumer until that is so."""

    async def scenario() -> None:
        async with working(redis_url, handler, concurrency):
            assert await soon(done, seconds)

    asyncio.run(scenario())


# What may become of a job meanwhile


def _cancel(router: Router, db: redis.Redis, job_id: str) -> None:
    assert router.delete(f"/v1/jobs/{job_id}").status == 200


def _let_expire(router: Router, db: redis.Redis, job_id: str) -> None:
    db.hset(KEYS.job(job_id), "deadline_at", 1_700_000_000_000)


def _forget(router: Router, db: redis.Redis, job_id: str) -> None:
    db.delete(KEYS.job(job_id))


FATES = {"cancelled": _cancel, "expired": _let_expire, "gone": _forget}
