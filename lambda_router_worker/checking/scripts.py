"""Checks that the worker's scripts run on this server, by processing a job that nobody has sent."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from lambda_router_queue.lua_scripts import LuaScript
from lambda_router_queue.redis.troubles import trouble_of
from lambda_router_queue.redis.wire import Argument, Broken, Refused
from lambda_router_worker.checking.box import Box
from lambda_router_worker.checking.findings import Finding, in_short, refusal, trouble, well, wrong
from lambda_router_worker.checking.scratch import ENVELOPE, KEPT_MS, OWNER, SCRATCH, Rehearsal, rehearsal
from lambda_router_worker.operations.operations import Operations
from lambda_router_worker.queue import scripts as queue_scripts
from lambda_router_worker.queue.connection import Connection, run_script
from lambda_router_worker.queue.scripts import lease_keys
from lambda_router_worker.queue.work_queue import Claim, Lease, Pieces

_HOUR_MS = 3_600_000
#: Retries that the job of the rehearsal is allowed.
_ATTEMPTS = 5


class OtherReply(Exception):
    """A script ran and did not reply what it should have."""


@cache
def script_names() -> Mapping[str, str]:
    """Return the file of each of the worker's scripts by its SHA-1."""
    every = {"scratch": SCRATCH} | {
        name.lower(): script for name, script in vars(queue_scripts).items() if isinstance(script, LuaScript)
    }
    return {script.sha: f"{name}.lua" for name, script in every.items()}


class Watched:
    """A connection that notes which scripts have run.

    Attributes:
        last: the file of the last script, or the name of the last command if it was none.
        ran: the files of all scripts that replied.
    """

    def __init__(self, redis: Connection) -> None:
        self._redis = redis
        self.last = ""
        self.ran: set[str] = set()

    async def execute(self, *parts: Argument) -> Any:
        is_script = parts[0] in ("EVALSHA", "EVAL")
        if parts[0] == "EVALSHA":
            self.last = script_names()[str(parts[1])]
        elif not is_script:
            self.last = str(parts[0])
        reply = await self._redis.execute(*parts)
        if is_script:
            self.ran.add(self.last)
        return reply

    async def wait(self, *parts: Argument) -> Any:
        self.last = str(parts[0])
        return await self._redis.wait(*parts)

    def keys_like(self, pattern: str) -> AsyncIterator[str]:
        return self._redis.keys_like(pattern)

    async def aclose(self) -> None:
        await self._redis.aclose()


async def scripts(box: Box) -> Finding:
    """Check that each script compiles, may run, and replies as it should."""
    watched = Watched(box.redis)
    try:
        async with rehearsal(box.redis, box.queue, watched) as act:
            return await _rehearsed(act, watched)
    except Refused as error:  # even the keys could not be made
        return refusal(error, box.queue, watched.last)


async def _rehearsed(act: Rehearsal, watched: Watched) -> Finding:
    try:
        await _rehearse(act, watched)
    except (OtherReply, TypeError, ValueError, LookupError) as error:
        fix = "use Redis or Valkey, 7.2 or newer, without a proxy between"
        return wrong(f"{watched.last}: {in_short(error)}", why="jobs would be lost or processed twice", fix=fix)
    except Refused as error:
        return refusal(error, act.keys.queue, watched.last)
    except Broken as error:
        found = trouble(error, watched.last)  # a reply of another form closes the connection, too
        return found if trouble_of(error) else replace(found, found=f"{watched.last}: {in_short(error)}")
    return well(f"{len(watched.ran)} scripts ran, on keys of their own")


async def _rehearse(act: Rehearsal, watched: Watched) -> None:
    """Take the job through everything that a worker may do with it."""
    queue, keys = act.queue, act.keys
    await queue.prepare()
    await queue.beat(1)
    _expect(await _revive(act, watched), "queued")
    await _look_on(act, watched)
    lease = await _started(act)
    _expect(await queue.emit([Pieces(lease, 1, ["{}"])]), ["stored"])
    _expect(await queue.renew(lease), "run")
    _expect(await queue.give_back(lease, "begun"), "given back")
    lease = await _started(act)
    _expect(await queue.retry(lease, 0, _ATTEMPTS, OWNER, OWNER), "scheduled")
    _expect(await queue.promote(), 1)
    lease = await _started(act)
    _expect(await queue.complete(lease, "null"), "done")
    await watched.execute("XADD", keys.streams[0], "*", "id", keys.job_id, "job", ENVELOPE)
    verdict = await queue.reject(await _claimed(act), OWNER, OWNER, OWNER)
    _expect(verdict, "gone")  # it has no record
    _expect(await queue.reclaim(1), [])
    _expect(await queue.forget(OWNER, 0, 1), 1)
    await queue.tidy(_HOUR_MS, _HOUR_MS)
    await queue.trim_letters(1)
    await queue.leave()


async def _revive(act: Rehearsal, watched: Watched) -> Any:
    """Requeue the dead letter, as an operator does, for a job that is kept as briefly as the other keys."""
    stream = len(act.keys.streams) - 1
    keys = lease_keys(act.keys, act.keys.job_id, act.keys.streams[stream], OWNER)
    seconds, microseconds = map(int, await watched.execute("TIME"))
    now = seconds * 1000 + microseconds // 1000
    times = (now, now + KEPT_MS, KEPT_MS)
    args: list[Argument] = [act.keys.job_id, act.letter, ENVELOPE, *times, stream, "type", "check"]
    return await run_script(watched, queue_scripts.REVIVE, keys, args)


async def _look_on(act: Rehearsal, watched: Watched) -> None:
    """Read the figures, as ``stats`` does, and take an idle worker's turn."""
    operations = Operations(watched, act.keys.queue)
    operations.keys = act.keys
    stats = await operations.stats(by_code=True)
    _expect(sum(each.waiting for each in stats.priorities.values()), 1)
    claims, _ = await act.queue.turn(1, _HOUR_MS, beat=1)
    _expect([claim.job_id for claim in claims], [act.keys.job_id])
    await act.queue.release(claims[0])


async def _claimed(act: Rehearsal) -> Claim:
    claims = await act.queue.claim(1)
    _expect([claim.job_id for claim in claims], [act.keys.job_id])
    return claims[0]


async def _started(act: Rehearsal) -> Lease:
    lease = await act.queue.start(await _claimed(act), OWNER, "check")
    if not isinstance(lease, Lease):
        raise OtherReply(f"replied {lease!r}, wanted a lease")
    return lease


def _expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise OtherReply(f"replied {found!r}, wanted {wanted!r}")
