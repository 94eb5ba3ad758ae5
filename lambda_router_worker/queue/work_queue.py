"""The worker's side of one queue: claim, start, renew, finish, retry. Each is a plain command or one short script."""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Literal, NamedTuple

from lambda_router_queue.flow import WORKERS_FRESH_MS
from lambda_router_queue.lua_scripts import LuaScript
from lambda_router_queue.queue_keys import GROUP, QueueKeys
from lambda_router_queue.redis.wire import Argument, Broken, Refused
from lambda_router_worker.queue import scripts
from lambda_router_worker.queue.connection import Connection, run_script
from lambda_router_worker.queue.due_jobs import DueJobs
from lambda_router_worker.queue.scripts import lease_keys

#: After this much silence a worker counts as dead, and its jobs go to other workers.
LEASE_MS = 30_000
#: A job whose lease has expired under this many workers has probably killed them.
MAX_DEATHS = 3
#: After this much silence a worker no longer counts for estimates.
SILENCE_MS = WORKERS_FRESH_MS
#: Consumer name of entries that were given back, until a worker claims them. No worker has this name.
RELEASED = "released"
#: Maximum number of delayed jobs to check at a time.
PROMOTE_AT_ONCE = 100

#: How far a job had come when it was given back.
type Begun = Literal["untouched", "begun", "crashed"]


class Claim(NamedTuple):
    """An entry taken from a stream, not yet started. ``envelope`` is JSON that has not been parsed."""

    stream: str
    entry_id: str
    job_id: str
    envelope: str


class Lease(NamedTuple):
    """A started job.

    Attributes:
        keys: ``KEYS`` of every script about it.
        token: fencing token. Once another attempt has started, this one can change nothing.
        crashes: how often a model server broke while it had the job.
        waited_ms: time from its entry's joining the line until this attempt, by the server's clock.
    """

    claim: Claim
    keys: Sequence[str]
    token: int
    attempts: int
    crashes: int
    waited_ms: int = 0


class Pieces(NamedTuple):
    """Live output of a job, in the form in which it is stored.

    Attributes:
        first: number of the first piece; that of the attempt's first is 1.
    """

    lease: Lease
    first: int
    texts: Sequence[str]


class WorkQueue:
    """One queue as one worker process sees it.

    Every method raises one of REDIS_TROUBLE when Redis does not reply. The scripts are safe to repeat.

    Args:
        consumer: this process's name within the group. It must be unique, or two workers take each other's jobs for
            their own.

    Attributes:
        due: when delayed jobs are due, as far as this worker knows.
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
        self.due = DueJobs()

    async def prepare(self) -> None:
        """Create missing consumer groups. They start at the first entry, because jobs may be waiting already."""
        for stream in self.keys.streams:
            try:
                await self._redis.execute("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
            except Refused as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    async def claim(self, count: int) -> list[Claim]:
        """Claim up to ``count`` jobs, without waiting.

        Jobs that were given back come first. New ones follow by turns over priorities and lanes.
        """
        reply = await self._run(scripts.CLAIM, [*self.keys.streams, self.keys.flow], [self.consumer, count])
        return await self._parsed(_claims, reply)

    async def turn(self, count: int, wait_ms: int, beat: int = 0) -> tuple[list[Claim], int]:
        """Claim up to ``count`` jobs, those of silent workers included, and note which delayed jobs are due.

        The number is how many ms to wait for new jobs: until the next call, or until a lease may end.

        Args:
            wait_ms: time until the next call.
            beat: the concurrency to report, as ``beat`` does; 0 for no report.
        """
        keys = [*self.keys.streams, self.keys.flow, self.keys.workers, self.keys.scheduled]
        report: list[Argument] = [beat, SILENCE_MS, ""] if beat else []
        reply = await self._run(scripts.TURN, keys, [self.consumer, count, self.lease_ms, wait_ms, *report])
        claims, soonest_ms, due_ms = await self._parsed(_turn, reply)
        self.due.are(due_ms, wait_ms / 1000)
        return claims, soonest_ms

    async def wait(self, wait_ms: int) -> list[Claim]:
        """Wait for a new job and return it. If several streams get one at the same instant, return one from each."""
        words = ("XREADGROUP", "GROUP", GROUP, self.consumer, "COUNT", 1, "BLOCK", wait_ms, "STREAMS")
        reply = await self._redis.wait(*words, *self.keys.streams, *(">" for _ in self.keys.streams))
        return await self._parsed(_new_claims, reply or [])

    async def reclaim(self, count: int) -> list[Claim]:
        """Claim up to ``count`` jobs whose workers have been silent for a lease's length."""
        reply = await self._run(scripts.SWEEP, self.keys.streams, [self.consumer, self.lease_ms, count])
        return await self._parsed(_claims, reply)

    async def release(self, claim: Claim) -> None:
        """Give back a job that was claimed and not started. The next claim by any worker takes it."""
        await self._run(scripts.RELEASE, [claim.stream, self.keys.flow], [self.consumer, claim.entry_id])

    async def promote(self) -> int:
        """Move delayed and retrying jobs that are due into their streams, and return their number."""
        soonest = await self._redis.execute("ZRANGE", self.keys.scheduled, 0, PROMOTE_AT_ONCE - 1)
        if not soonest:
            return 0
        keys = self.keys
        shared = [keys.scheduled, keys.flow, keys.dead, keys.retrying, *keys.streams]
        return int(await self._run(scripts.PROMOTE, [*shared, *map(keys.job, soonest)], soonest))

    async def beat(self, concurrency: int, closed: str = "") -> None:
        """Report that this worker is alive and how many jobs it processes at a time; 0 means that it leaves.

        Args:
            closed: the reason that it claims nothing for now, on one line; empty if it claims.
        """
        await self._beat([], concurrency, closed)

    async def tidy(self, idle_ms: int, keep_dead_ms: int = 0) -> int:
        """Forget consumers that hold nothing and were silent for ``idle_ms``, and return their number over all streams.

        Dead letters older than ``keep_dead_ms`` are discarded; 0 keeps them for ever.
        """
        keys = [self.keys.dead, self.keys.scheduled, self.keys.retrying, *self.keys.streams]
        return int(await self._run(scripts.TIDY, keys, [idle_ms, keep_dead_ms]))

    async def trim_letters(self, most: int) -> int:
        """Discard the oldest dead letters beyond ``most``, and return their number."""
        return int(await self._redis.execute("XTRIM", self.keys.dead, "MAXLEN", most))

    async def listed(self, owner: str) -> int:
        """Return the number of ids in the caller's list."""
        return int(await self._redis.execute("ZCARD", self.keys.owner(owner)))

    async def forget(self, owner: str, first: int, last: int) -> int:
        """Remove ids without a record from a range of ranks in the caller's list, and return their number."""
        ids = await self._redis.execute("ZRANGE", self.keys.owner(owner), first, last)
        if not ids:
            return 0
        keys = [self.keys.owner(owner), *(self.keys.job(job_id) for job_id in ids)]
        return int(await self._run(scripts.FORGET, keys, ids))

    async def leave(self) -> None:
        """Stop counting for estimates, and remove this worker's name from the groups in which it holds nothing."""
        await self._beat(self.keys.streams, 0)

    async def start(self, claim: Claim, owner: str, nonce: str = "") -> Lease | str:
        """Start a job. Returns its lease, or why it must not be processed (``start.lua`` lists the words).

        Safe to repeat with the same ``nonce``. Without one, a repeat finds the job ``leased`` until that lease expires.
        """
        keys, lease = self._keys(claim, owner), (self.lease_ms, self.max_deaths)
        args = (claim.job_id, claim.entry_id, self.consumer, *lease, nonce, "crashes")
        reply = await self._run(scripts.START, keys, args)
        return await self._parsed(lambda words: _lease(claim, keys, *words), reply)

    async def renew(self, lease: Lease) -> str:
        """Renew a lease. Returns ``run``, or why to stop.

        ``lambda_router_worker/queue/lua/renew.lua`` lists the words.
        """
        return await self._about(scripts.RENEW, lease, lease.claim.entry_id, self.consumer, self.lease_ms)

    async def emit(self, output: Sequence[Pieces]) -> list[str]:
        """Add to the live output of several jobs. Returns a word for each (``emit.lua`` lists them)."""
        keys = [key for job in output for key in (job.lease.keys[0], self.keys.events(job.lease.claim.job_id))]
        args: list[Argument] = []
        for job in output:
            args += [job.lease.token, job.first, len(job.texts), *job.texts]
        words = await self._run(scripts.EMIT, keys, args)
        return await self._parsed(lambda said: list(map(str, said)), words)

    async def complete(self, lease: Lease, result: str) -> str:
        """Write the result, as JSON. Returns ``done``, or why nothing was written (``finish.lua`` lists the words)."""
        return await self._about(scripts.FINISH, lease, "completed", "result", result)

    async def fail(self, lease: Lease, error: str) -> str:
        """Write the error, as JSON with ``code`` and ``message``. Returns the same words as ``complete``."""
        return await self._about(scripts.FINISH, lease, "failed", "error", error)

    async def retry(self, lease: Lease, delay_ms: int, attempts: int, code: str, message: str) -> str:
        """Put the job back for a retry.

        Returns ``scheduled``; ``dead`` after the last of ``attempts``; or why neither.
        """
        word = await self._about(scripts.RETRY, lease, delay_ms, attempts, code, message)
        if word == "scheduled":
            self.due.add(delay_ms)
        return word

    async def give_back(self, lease: Lease, how: Begun) -> str:
        """Undo the start, because the trouble is this worker's.

        Returns ``given back``, or ``dead`` after too many crashes.

        Args:
            how: how far the job had come; ``crashed``: the model server broke while it had the job.
        """
        return await self._about(scripts.GIVE_BACK, lease, how, self.max_deaths)

    async def reject(self, claim: Claim, owner: str, code: str, message: str) -> str:
        """Move an entry that cannot be read to the dead letters."""
        args = (claim.job_id, claim.entry_id, code, message, self.lease_ms)
        return str(await self._run(scripts.REJECT, self._keys(claim, owner), args))

    async def _beat(self, left: Sequence[str], concurrency: int, closed: str = "") -> None:
        keys = [self.keys.workers, self.keys.flow, *left]
        await self._run(scripts.BEAT, keys, [self.consumer, concurrency, SILENCE_MS, closed])

    async def _about(self, script: LuaScript, lease: Lease, *args: Argument) -> str:
        return str(await self._run(script, lease.keys, [lease.claim.job_id, lease.token, *args]))

    async def _parsed[Parsed](self, parse: Callable[[list[Any]], Parsed], reply: Any) -> Parsed:
        """Parse a reply.

        One of another shape belongs to another command, and so would those that follow: the connections are closed.
        """
        try:
            if isinstance(reply, list):
                return parse(reply)
        except (TypeError, ValueError):
            pass
        await self._redis.aclose()
        raise Broken("the reply belongs to another command")

    def _keys(self, claim: Claim, owner: str) -> list[str]:
        return lease_keys(self.keys, claim.job_id, claim.stream, owner)

    def _run(self, script: LuaScript, keys: Sequence[str], args: Sequence[Argument]) -> Coroutine[Any, Any, Any]:
        return run_script(self._redis, script, keys, args)


def _claims(rows: Iterable[Any]) -> list[Claim]:
    return [_claim(*row) for row in rows]


def _turn(reply: Sequence[Any]) -> tuple[list[Claim], int, list[int]]:
    rows, wait_ms, due_ms = reply
    return _claims(rows), int(wait_ms), list(map(int, due_ms))


def _new_claims(reply: Iterable[Any]) -> list[Claim]:
    return [_claim(stream, *entry) for stream, entries in reply for entry in entries]


def _lease(claim: Claim, keys: list[str], verdict: str, *numbers: int) -> Lease | str:
    return Lease(claim, keys, *numbers) if verdict == "run" else verdict


def _claim(stream: str, entry_id: str, fields: Sequence[str]) -> Claim:
    """Convert an entry as Redis lists it, with alternating names and values."""
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    return Claim(stream, entry_id, values.get("id", ""), values.get("job", ""))
