"""Jobs that come and go in every way that a job can go, with short storage, so that nothing should remain."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from copy import replace

from chalicelib.jobs.admission import NewJob
from lambda_router_queue.models import Envelope
from lambda_router_queue.queue_keys import PRIORITIES
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.queue import connection
from lambda_router_worker.queue.work_queue import Claim, Lease, WorkQueue
from tests.faults.kit import QUEUE, Callers, new_job
from tests.wide import WIDE

#: What becomes of a job, and of how many in a hundred.
FATES = {
    "completed": 54,
    "failed": 10,
    "cancelled while waiting": 10,
    "cancelled at work": 5,
    "expired": 10,
    "retried": 5,
    "delayed": 5,
    "given up on": 1,
}
PORTION = sum(FATES.values())
OWNERS = 50
#: A caller's list of jobs is kept for as long as the longest of them could have lasted.
TTL_SECONDS = 3
SHORT = replace(WIDE, store_result_seconds=1, idempotency_seconds=1)
RESULT = json.dumps({"text": "x" * 200})
ERROR = json.dumps({"code": "no", "message": "No."})


def portion(number: int) -> Iterator[NewJob]:
    """A hundred jobs with keys, of all priorities; the prompt is the fate."""
    fates = itertools.chain.from_iterable(itertools.repeat(fate, share) for fate, share in FATES.items())
    for place, fate in enumerate(fates):
        yield new_job(
            fate,
            key=f"key-{number}-{place}",
            priority=PRIORITIES[place % len(PRIORITIES)],
            metadata={"number": str(number)},
            ttl_seconds=0 if fate == "expired" else TTL_SECONDS,
            delay_seconds=1 if fate == "delayed" else 0,
        )


async def come_and_go(url: str, count: int) -> Counter[str]:
    """Send that many jobs, a hundred at a time, and have each meet its fate; how they ended.

    Each hundred is worked under another name, as by workers that are killed and replaced: nobody says goodbye.
    """
    callers = Callers(url, SHORT)
    client = connection.connect(url)
    ends: Counter[str] = Counter()
    try:
        for number in range(count // PORTION):
            owner = f"owner-{number % OWNERS}"
            jobs = list(portion(number))
            callers.submit(jobs, owner)
            _cancel(callers, owner, jobs)
            ends += await _work_all(callers, WorkQueue(client, QUEUE.queue, f"worker-{number}"))
        worker = WorkQueue(client, QUEUE.queue, "the-last")
        while await client.execute("ZCARD", QUEUE.scheduled):
            ends += await _work_all(callers, worker)
        await _discard_dead_letters(Operations(client, QUEUE.queue))
        await worker.tidy(idle_ms=0)
    finally:
        await client.aclose()
        callers.close()
    return ends


def _cancel(callers: Callers, owner: str, jobs: list[NewJob]) -> None:
    for job in jobs:
        if job.request.input.prompt == "cancelled while waiting":
            callers.side.cancel(owner, job.job_id)


async def _work_all(callers: Callers, worker: WorkQueue) -> Counter[str]:
    ends: Counter[str] = Counter()
    await worker.prepare()
    await worker.beat(1)
    while True:
        await worker.promote()
        claims = await worker.claim(PORTION)
        if not claims:
            return ends
        ends += Counter([await _work(callers, worker, claim) for claim in claims])


async def _work(callers: Callers, worker: WorkQueue, claim: Claim) -> str:
    job = Envelope.model_validate_json(claim.envelope)
    lease = await worker.start(claim, job.owner)
    if not isinstance(lease, Lease):
        return lease
    fate = job.input["prompt"]
    if fate == "failed":
        await worker.fail(lease, ERROR)
        return "failed"
    if fate == "given up on":
        return await worker.retry(lease, 0, 1, "busy", "Busy.")
    if fate == "retried" and lease.attempts == 1:
        return await worker.retry(lease, 0, 3, "busy", "Busy.")
    if fate == "cancelled at work":
        callers.side.cancel(job.owner, job.id)
    await worker.renew(lease)
    return await worker.complete(lease, RESULT)


async def _discard_dead_letters(operations: Operations) -> None:
    async for letter in operations.letters():
        await operations.discard(letter)
