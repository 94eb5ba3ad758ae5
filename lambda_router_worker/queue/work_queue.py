"""The worker side of one queue: claim, start, renew, finish, retry. Each is a plain command or one short script."""

from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lambda_router_queue.flow import WORKERS_FRESH_MS
from lambda_router_queue.lua_scripts import LuaScript, load_script
from lambda_router_queue.queue_keys import GROUP, QueueKeys
from lambda_router_queue.redis.wire import Argument, Refused
from lambda_router_worker.queue.connection import Connection, run_script

#: A worker that is silent for so long is taken for dead and its jobs are given to others.
LEASE_MS = 30_000
#: A job that was left by so many dead workers is likely to be what killed them.
MAX_DEATHS = 3
#: A worker not heard of for so long no longer counts for estimates.
SILENCE_MS = WORKERS_FRESH_MS
#: Entries given back stand under this name until somebody claims them; no worker has it.
RELEASED = "released"
#: Delayed jobs looked at in one go.
PROMOTE_AT_ONCE = 100

LUA = Path(__file__).parent / "lua"
_CLAIM, _RELEASE, _SWEEP, _BEAT, _TIDY, _FORGET = (
    load_script(name, folder=LUA) for name in ("claim", "release", "sweep", "beat", "tidy", "forget")
)
_START, _RENEW, _FINISH, _RETRY, _GIVE_BACK, _REJECT, _PROMOTE = (
    load_script(name, "lease", folder=LUA)
    for name in ("start", "renew", "finish", "retry", "give_back", "reject", "promote")
)


#: How far a job had come that is given back.
type Begun = Literal["untouched", "begun", "crashed"]


class Claim(NamedTuple):
    """An entry that was taken from a stream, not yet started. ``envelope`` is JSON, unread."""

    stream: str
    entry_id: str
    job_id: str
    envelope: str


class Lease(NamedTuple):
    """A started job.

    Attributes:
        keys: ``KEYS`` of every script about it.
        token: fences it: once another attempt has started, nothing can be changed with this one.
        crashes: how often the job was at a model server when that broke.
    """

    claim: Claim
    keys: Sequence[str]
    token: int
    attempts: int
    crashes: int


def lease_keys(keys: QueueKeys, job_id: str, stream: str, owner: str) -> list[str]:
    """``KEYS`` of every script about one job."""
    own = [keys.job(job_id), stream, keys.open_jobs(owner)]
    return [*own, keys.scheduled, keys.flow, keys.dead, keys.owner(owner), keys.retrying, keys.stored_bytes(owner)]


class WorkQueue:
    """One queue as one worker process sees it.

    Every method raises one of REDIS_TROUBLE when Redis does not answer; the scripts are safe to repeat.

    Args:
        consumer: this process's name within the group; unique, or two workers take each other's jobs for their own.
    """

    def __init__(
        self,
        redis: Connection,
        queue: str,
        consumer: str,
        lease_ms: int = LEASE_MS,
        max_deaths: int = MAX_DEATHS,
    ) -> None:
        self._redis = redis
        self.keys = QueueKeys(queue)
        self.consumer = consumer
        self.lease_ms = lease_ms
        self.max_deaths = max_deaths

    async def prepare(self) -> None:
        """Make the consumer group where it is missing, from the first entry on: jobs may be waiting already."""
        for stream in self.keys.streams:
            try:
                await self._redis.execute("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
            except Refused as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    async def claim(self, count: int) -> list[Claim]:
        """Up to ``count`` jobs: those given back, then new ones by turns over priorities and lanes. Does not wait."""
        rows = await self._run(_CLAIM, [*self.keys.streams, self.keys.flow], [self.consumer, count])
        return [_claim(*row) for row in rows]

    async def wait(self, wait_ms: int) -> list[Claim]:
        """The next new job, once there is one; when several streams get one at the same instant, one from each."""
        words = ("XREADGROUP", "GROUP", GROUP, self.consumer, "COUNT", 1, "BLOCK", wait_ms, "STREAMS")
        reply = await self._redis.wait(*words, *self.keys.streams, *(">" for _ in self.keys.streams))
        return [_claim(stream, *entry) for stream, entries in reply or [] for entry in entries]

    async def reclaim(self, count: int) -> list[Claim]:
        """Up to ``count`` jobs whose workers have been silent for a lease's length."""
        rows = await self._run(_SWEEP, self.keys.streams, [self.consumer, self.lease_ms, count])
        return [_claim(*row) for row in rows]

    async def release(self, claim: Claim) -> None:
        """Give back what was claimed and not started: the next claim of any worker takes it."""
        await self._run(_RELEASE, [claim.stream, self.keys.flow], [self.consumer, claim.entry_id])

    async def promote(self) -> int:
        """Move delayed and retrying jobs whose time has come into their streams; how many."""
        soonest = await self._redis.execute("ZRANGE", self.keys.scheduled, 0, PROMOTE_AT_ONCE - 1)
        if not soonest:
            return 0
        keys = self.keys
        shared = [keys.scheduled, keys.flow, keys.dead, keys.retrying, *keys.streams]
        return int(await self._run(_PROMOTE, [*shared, *map(keys.job, soonest)], soonest))

    async def beat(self, concurrency: int, closed: str = "") -> None:
        """Say that this worker is alive and how much it does at a time; 0: that it leaves.

        Args:
            closed: why it claims nothing for now, in one line; empty: it claims.
        """
        await self._beat([], concurrency, closed)

    async def tidy(self, idle_ms: int, keep_dead_ms: int = 0) -> int:
        """Forget consumers silent for so long that hold nothing; how many, over all streams.

        Dead letters older than ``keep_dead_ms`` are thrown away; 0 keeps them for ever.
        """
        keys = [self.keys.dead, self.keys.scheduled, self.keys.retrying, *self.keys.streams]
        return int(await self._run(_TIDY, keys, [idle_ms, keep_dead_ms]))

    async def trim_letters(self, most: int) -> int:
        """Discard the oldest dead letters beyond so many; how many that were."""
        return int(await self._redis.execute("XTRIM", self.keys.dead, "MAXLEN", most))

    async def listed(self, owner: str) -> int:
        """How many ids the caller's list has."""
        return int(await self._redis.execute("ZCARD", self.keys.owner(owner)))

    async def forget(self, owner: str, first: int, last: int) -> int:
        """Take ids whose records are gone out of the caller's list, of those from that rank to that; how many."""
        ids = await self._redis.execute("ZRANGE", self.keys.owner(owner), first, last)
        if not ids:
            return 0
        keys = [self.keys.owner(owner), *(self.keys.job(job_id) for job_id in ids)]
        return int(await self._run(_FORGET, keys, ids))

    async def leave(self) -> None:
        """Stop counting for estimates, and remove this worker's name from the groups where it holds nothing."""
        await self._beat(self.keys.streams, 0)

    async def start(self, claim: Claim, owner: str, nonce: str = "") -> Lease | str:
        """The lease of the started job, or why it is not to be worked (``start.lua`` lists the words).

        Safe to repeat with the same ``nonce``; without one, a repeat finds the job ``leased`` until that lease lapses.
        """
        keys, lease = self._keys(claim, owner), (self.lease_ms, self.max_deaths)
        args = (claim.job_id, claim.entry_id, self.consumer, *lease, nonce, "crashes")
        verdict, *numbers = await self._run(_START, keys, args)
        return Lease(claim, keys, *numbers) if verdict == "run" else str(verdict)

    async def renew(self, lease: Lease) -> str:
        """``run``, or why to stop (``lambda_router_worker/queue/lua/renew.lua`` lists the words)."""
        return await self._about(_RENEW, lease, lease.claim.entry_id, self.consumer, self.lease_ms)

    async def complete(self, lease: Lease, result: str) -> str:
        """Write the result, JSON. ``done``, or why nothing was written (``finish.lua`` lists the words)."""
        return await self._about(_FINISH, lease, "completed", "result", result)

    async def fail(self, lease: Lease, error: str) -> str:
        """Write the error, JSON of ``code`` and ``message``. Answers as ``complete`` does."""
        return await self._about(_FINISH, lease, "failed", "error", error)

    async def retry(self, lease: Lease, delay_ms: int, attempts: int, code: str, message: str) -> str:
        """Put the job back for another try: ``scheduled``; ``dead`` after the last of ``attempts``; or why not."""
        return await self._about(_RETRY, lease, delay_ms, attempts, code, message)

    async def give_back(self, lease: Lease, how: Begun) -> str:
        """Undo the start, because the trouble is this worker's: ``given back``, or ``dead`` after too many crashes.

        Args:
            how: far the job had come; ``crashed``: it was at the model server when that broke.
        """
        return await self._about(_GIVE_BACK, lease, how, self.max_deaths)

    async def reject(self, claim: Claim, owner: str, code: str, message: str) -> str:
        """Send an entry that cannot be read to the dead letters."""
        args = (claim.job_id, claim.entry_id, code, message, self.lease_ms)
        return str(await self._run(_REJECT, self._keys(claim, owner), args))

    async def _beat(self, left: Sequence[str], concurrency: int, closed: str = "") -> None:
        keys = [self.keys.workers, self.keys.flow, *left]
        await self._run(_BEAT, keys, [self.consumer, concurrency, SILENCE_MS, closed])

    async def _about(self, script: LuaScript, lease: Lease, *args: Argument) -> str:
        return str(await self._run(script, lease.keys, [lease.claim.job_id, lease.token, *args]))

    def _keys(self, claim: Claim, owner: str) -> list[str]:
        return lease_keys(self.keys, claim.job_id, claim.stream, owner)

    def _run(self, script: LuaScript, keys: Sequence[str], args: Sequence[Argument]) -> Coroutine[Any, Any, Any]:
        return run_script(self._redis, script, keys, args)


def _claim(stream: str, entry_id: str, fields: Sequence[str]) -> Claim:
    """Of an entry as Redis lists it: names and values by turns."""
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    return Claim(stream, entry_id, values.get("id", ""), values.get("job", ""))
