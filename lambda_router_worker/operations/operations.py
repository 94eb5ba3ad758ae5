"""An operator's view of a queue: its figures and its dead letters."""

import json
from collections.abc import AsyncIterator, Callable

from lambda_router_queue.queue_keys import LANES, PRIORITIES, QueueKeys
from lambda_router_queue.redis.wire import Argument
from lambda_router_worker.operations.dead_letters import ALL, DeadLetter, Wanted, read_letters
from lambda_router_worker.operations.queue_stats import Stats, read_stats
from lambda_router_worker.queue.connection import Connection, run_script
from lambda_router_worker.queue.scripts import REVIVE, lease_keys
from lambda_router_worker.worker_log import odd_figure

#: A requeued job is kept as long as any job is by default (``ROUTER_STORE_RESULT_SECONDS``).
REVIVED_STORE_MS = 86_400_000


class Operations:
    """Reads one queue and manages its dead letters.

    Args:
        report: gets the name of each figure that holds no number; by default it goes to the log.
    """

    def __init__(self, redis: Connection, queue: str, report: Callable[[str], None] = odd_figure) -> None:
        self._redis = redis
        self._report = report
        self.keys = QueueKeys(queue)

    async def stats(self, *, by_code: bool = False) -> Stats:
        """Return the queue's figures; ``by_code`` also counts the dead letters by code, which costs Redis more."""
        return await read_stats(self._redis, self.keys, self._report, by_code=by_code)

    async def letters(self, wanted: Wanted = ALL, now_ms: int = 0) -> AsyncIterator[DeadLetter]:
        """Yield every dead letter of the wanted age, the oldest first, whatever its code.

        Args:
            now_ms: the server's time, from which ages are counted.
        """
        async for letter in read_letters(self._redis, self.keys.dead, wanted, now_ms):
            yield letter

    async def dead(self) -> int:
        """Return the number of dead letters."""
        return int(await self._redis.execute("XLEN", self.keys.dead))

    async def letter(self, job_id: str) -> DeadLetter | None:
        """Return the newest dead letter of that job, or None."""
        found = None
        async for letter in self.letters():
            if letter.job_id == job_id:
                found = letter
        return found

    async def retry(self, letter: DeadLetter) -> str:
        """Requeue a dead letter. Returns ``queued``, or why not: ``open`` (it already is), ``gone``, ``unreadable``."""
        job = letter.envelope
        if job is None:
            return "unreadable"
        now_ms = await self.now_ms()
        deadline = now_ms + job.deadline_at - job.created_at
        fresh = job.model_copy(update={"created_at": now_ms, "deadline_at": deadline})
        stream = PRIORITIES.index(job.priority) * LANES + LANES - 1  # the last lane: many may come back at once
        keys = lease_keys(self.keys, job.id, self.keys.streams[stream], job.owner)
        record = {
            "type": job.type,
            "queue": job.queue,
            "owner": job.owner,
            "priority": job.priority,
            "metadata": json.dumps(job.metadata),
            "request_id": job.request_id,
            "traceparent": job.traceparent,
        }
        times = (fresh.model_dump_json(exclude_unset=True), now_ms, deadline, REVIVED_STORE_MS, stream)
        fields = [part for pair in record.items() for part in pair]
        args: list[Argument] = [job.id, letter.entry_id, *times, *fields]
        return str(await run_script(self._redis, REVIVE, keys, args))

    async def discard(self, letter: DeadLetter) -> bool:
        """Discard a dead letter, and return whether it was still there."""
        return bool(await self._redis.execute("XDEL", self.keys.dead, letter.entry_id))

    async def now_ms(self) -> int:
        """Return the server's time in milliseconds since 1970, which is used everywhere in a queue."""
        seconds, microseconds = map(int, await self._redis.execute("TIME"))
        return seconds * 1000 + microseconds // 1000
