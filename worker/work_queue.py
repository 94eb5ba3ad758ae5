"""The worker side of one queue: claim, start, renew, finish. Each is a plain command or one short script."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from redis import exceptions
from redis.asyncio import Redis

from chalicelib.lua_scripts import LuaScript, load_script
from chalicelib.models import Envelope
from chalicelib.queue_keys import GROUP, QueueKeys

#: A worker that is silent for so long is taken for dead and its jobs are given to others.
LEASE_MS = 30_000

_LUA = Path(__file__).parent / "lua"
_CLAIM, _START, _RENEW, _FINISH = (load_script(name, _LUA) for name in ("claim", "start", "renew", "finish"))


@dataclass(frozen=True)
class Claim:
    """An entry that was taken from a stream, not yet started."""

    stream: str
    entry_id: str
    job: Envelope


@dataclass(frozen=True)
class Lease:
    """A started job. ``token`` fences it: once another attempt has started, nothing can be changed with this one."""

    claim: Claim
    token: int
    attempts: int


class WorkQueue:
    """One queue as one worker process sees it.

    Every method raises ``redis.exceptions.RedisError`` when Redis does not answer; the scripts are safe to repeat.

    Args:
        consumer: this process's name within the group; unique, or two workers take each other's jobs for their own.
    """

    def __init__(self, redis: Redis, queue: str, consumer: str, lease_ms: int = LEASE_MS) -> None:
        self._redis = redis
        self.keys = QueueKeys(queue)
        self.consumer = consumer
        self.lease_ms = lease_ms

    async def prepare(self) -> None:
        """Make the consumer group where it is missing, from the first entry on: jobs may be waiting already."""
        for stream in self.keys.streams:
            try:
                await self._redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
            except exceptions.ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    async def claim(self, count: int, wait_ms: int) -> list[Claim]:
        """Up to ``count`` jobs, high before normal before low; waits up to ``wait_ms`` for the first one.

        A wait that ends with jobs in several streams at once may bring one from each.
        """
        rows = await self._run(_CLAIM, self.keys.streams, [self.consumer, count])
        if not rows and wait_ms:
            new: Any = dict.fromkeys(self.keys.streams, ">")
            reply: Any = await self._redis.xreadgroup(GROUP, self.consumer, new, count=1, block=wait_ms)
            rows = [(stream, entry_id, fields) for stream, entries in reply for entry_id, fields in entries]
        return [_claim(*row) for row in rows]

    async def start(self, claim: Claim) -> Lease | str:
        """The lease of the started job, or why it is not to be worked (``worker/lua/start.lua`` lists the words)."""
        args = [claim.job.id, claim.entry_id, self.consumer, self.lease_ms]
        verdict, *numbers = await self._run(_START, self._keys(claim), args)
        return Lease(claim, *numbers) if verdict == "run" else str(verdict)

    async def renew(self, lease: Lease) -> str:
        """``run``, or why to stop (``worker/lua/renew.lua`` lists the words)."""
        claim = lease.claim
        args = [claim.job.id, claim.entry_id, self.consumer, self.lease_ms, lease.token]
        return str(await self._run(_RENEW, self._keys(claim), args))

    async def finish(
        self,
        lease: Lease,
        status: Literal["completed", "failed"],
        field: Literal["result", "error"],
        value: str,
    ) -> str:
        """``done``, or why nothing was written (``worker/lua/finish.lua`` lists the words)."""
        args = [lease.claim.job.id, lease.token, status, field, value]
        return str(await self._run(_FINISH, self._keys(lease.claim), args))

    def _keys(self, claim: Claim) -> list[str]:
        return [self.keys.job(claim.job.id), claim.stream, self.keys.open_jobs(claim.job.owner)]

    async def _run(self, script: LuaScript, keys: Sequence[str], args: Sequence[object]) -> Any:
        words = [str(arg) for arg in args]
        try:
            return await self._redis.evalsha(script.sha, len(keys), *keys, *words)
        except exceptions.NoScriptError:
            return await self._redis.eval(script.text, len(keys), *keys, *words)


def _claim(stream: str, entry_id: str, fields: Any) -> Claim:
    """Scripts list an entry's fields flat, redis-py's XREADGROUP as a dictionary."""
    values = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    return Claim(stream, entry_id, Envelope.model_validate_json(values["job"]))
