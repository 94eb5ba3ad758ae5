"""Keys for rehearsals: a queue below the real one's prefix, which no worker serves and which ends by itself."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lambda_router_queue.lua_scripts import load_script
from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_worker.queue.connection import REDIS_TROUBLE, Connection, run_script
from lambda_router_worker.queue.work_queue import WorkQueue

LUA = Path(__file__).parent / "lua"
SCRATCH = load_script("scratch", folder=LUA)

#: Time after which the keys are gone, even if the check is killed. It is far longer than a check takes.
KEPT_MS = 60_000
#: The owner of a rehearsal's job. Its errors have this code and message, too.
OWNER = "check"
ENVELOPE = '{"check":true}'


@dataclass(frozen=True, eq=False)
class ScratchKeys(QueueKeys):
    """The keys of one rehearsal. The Redis user of a worker may use them, because they begin like the queue's."""

    nonce: str = field(default_factory=lambda: secrets.token_hex(8))

    @cached_property
    def _prefix(self) -> str:
        return f"lr:{{{self.queue}}}:check:{self.nonce}:"

    @cached_property
    def job_id(self) -> str:
        return f"job_{self.nonce}"

    @property
    def made(self) -> list[str]:
        """The keys that ``scratch.lua`` makes, in its order."""
        hashes = [self.flow, self.retrying, self.stored_bytes(OWNER)]
        sets = [self.scheduled, self.workers, self.owner(OWNER), self.open_jobs(OWNER)]
        return [*hashes, *sets, self.dead, *self.streams]

    @property
    def all(self) -> list[str]:
        return [*self.made, self.job(self.job_id), self.events(self.job_id)]


@dataclass(frozen=True)
class Rehearsal:
    """A queue to rehearse on. ``letter`` is the entry of a dead letter in it."""

    queue: WorkQueue
    keys: ScratchKeys
    letter: str


@asynccontextmanager
async def rehearsal(redis: Connection, queue: str, through: Connection | None = None) -> AsyncIterator[Rehearsal]:
    """Yield a queue of its own, and delete it at the end. ``through`` is a connection that is listened to."""
    keys = ScratchKeys(queue)
    line = through or redis
    side = WorkQueue(line, queue, f"check-{keys.nonce}")
    side.keys = keys
    try:
        letter = await run_script(line, SCRATCH, keys.made, [KEPT_MS, keys.job_id, ENVELOPE])
        yield Rehearsal(side, keys, str(letter))
    finally:
        with suppress(*REDIS_TROUBLE):
            await redis.execute("DEL", *keys.all)
