"""Checks of the Redis server, through the connection that a worker would use."""

import statistics
import time

from lambda_router_queue.eviction import LOOK, SAFE, evicting, is_forbidden
from lambda_router_queue.lua_scripts import load_script
from lambda_router_queue.redis.wire import Refused
from lambda_router_worker.checking.box import Box
from lambda_router_worker.checking.findings import Finding, allowing, refusal, unseen, well, wrong
from lambda_router_worker.checking.scratch import LUA, rehearsal
from lambda_router_worker.queue.connection import connect, run_script
from lambda_router_worker.queue.shared_connection import open_connection
from lambda_router_worker.queue.work_queue import WorkQueue

_SERVER = load_script("server", folder=LUA)

#: Oldest version whose scripts and commands the queue's protocol may use (docs/operations.md, Redis).
LEAST_VERSION = (7, 2)
ROUND_TRIPS = 20
#: Slowest round trip that is all right. A worker renews leases every 1.5 s, and a router gives up after that time.
MOST_SECONDS = 1.0
BLOCK_SECONDS = 0.2
#: Difference between the clocks of this machine and of Redis that is all right. AWS rejects signatures from 5 minutes
#: (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html); a minute is far from usual.
MOST_CLOCK_SECONDS = 60

_ALLOW_INFO = allowing("+info")


async def login(box: Box) -> Finding:
    """Check that Redis takes the URL's user, password and database."""
    line = await open_connection(box.address, box.step_seconds)
    line.close()
    connection = connect(box.url)
    box.open.push_async_callback(connection.aclose)
    box.redis = connection
    if not box.address.password:
        return well("REDIS_URL has no password, and Redis wants none")
    return well("user and password are accepted" if box.address.username else "the password is accepted")


async def keys(box: Box) -> Finding:
    """Check that the queue's keys can be used: by this user, on this kind of server."""
    try:
        await box.redis.execute("EXISTS", box.keys.flow)
    except Refused as error:
        return refusal(error, box.queue)
    return well(f"lr:{{{box.queue}}}:* may be used")


async def round_trip(box: Box) -> Finding:
    """Measure round trips one after the other, to the node that has the queue."""
    seconds = []
    for _ in range(ROUND_TRIPS):
        began = time.monotonic()
        await box.redis.execute("EXISTS", box.keys.flow)
        seconds.append(time.monotonic() - began)
    box.round_trip = statistics.median(seconds)
    low, middle, high = (each * 1000 for each in (min(seconds), box.round_trip, _p99(seconds)))
    found = f"min {low:.1f}, median {middle:.1f}, p99 {high:.1f} ms of {ROUND_TRIPS}"
    if high < MOST_SECONDS * 1000:
        return well(found)
    why = "workers renew leases every 1.5 s; jobs wait for each of several round trips"
    fix = f"run the worker nearer to Redis; look for lost packets: mtr {box.address.host}"
    return wrong(found, wanted=f"p99 below {MOST_SECONDS:g} s", why=why, fix=fix)


def _p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.99 * len(values)))]


async def version(box: Box) -> Finding:
    """Check the server's version; a user without ``+info`` reads the one that Lua reports."""
    name, redis, valkey, lua = map(str, await run_script(box.redis, _SERVER, [box.keys.flow], []))
    known = redis or lua
    if not known:
        return unseen("the server does not report it to this user", why="an old one fails later", fix=_ALLOW_INFO)
    label = f"Valkey {valkey}" if name == "valkey" and valkey else f"Redis {known}"
    if not redis:
        label = f"compatible with Redis {known}; this user may not call INFO"
    if _numbers(known) >= LEAST_VERSION:
        return well(label)
    least = ".".join(map(str, LEAST_VERSION))
    fix = "update the server; KeyDB and Dragonfly do not run the queue's scripts"
    return wrong(label, wanted=f"Redis or Valkey {least} or newer", why="scripts fail, or do half", fix=fix)


def _numbers(version: str) -> tuple[int, ...]:
    digits = (part for part in version.split("."))
    return tuple(int(part) for part in digits if part.isdecimal())


async def eviction(box: Box) -> Finding:
    """Check that a full memory makes Redis reject new jobs rather than delete accepted ones."""
    why = "a policy that deletes jobs would go unnoticed"
    try:
        policy = str(await run_script(box.redis, LOOK, [box.keys.flow], []))
    except Refused as error:
        if not is_forbidden(error):
            return refusal(error, box.queue)
        return unseen("this user may not read it: it lacks +info", why=why, fix=_ALLOW_INFO)
    if not policy:
        fix = "look at maxmemory-policy in the service's console"
        return unseen("the server does not report it", why=why, fix=fix)
    if evicting(policy) is None:
        return well(policy)
    fix = f"valkey-cli CONFIG SET maxmemory-policy {SAFE}; a managed service has it in its parameter group or console"
    why = "when its memory is full, it deletes accepted jobs: callers get 202, and later 404"
    return wrong(policy, wanted=SAFE, why=why, fix=fix)


async def blocking(box: Box) -> Finding:
    """Check that a blocking read waits, on streams of its own."""
    try:
        async with rehearsal(box.redis, box.queue) as act:
            await act.queue.wait(1)  # opens the connection, which must not count
            # Twice, since a busy machine may be late once.
            waited = min([await _waited(act.queue), await _waited(act.queue)]) - box.round_trip
    except Refused as error:
        return refusal(error, box.queue)
    found = f"a read of {BLOCK_SECONDS * 1000:.0f} ms waited {max(0.0, waited) * 1000:.0f} ms"
    if waited >= BLOCK_SECONDS / 2:
        return well(found)
    why = "idle workers poll once a second instead: jobs start later, and Redis gets more commands"
    return wrong(found, why=why, fix="connect to Redis itself: a proxy or service between ignores XREADGROUP's BLOCK")


async def _waited(queue: WorkQueue) -> float:
    began = time.monotonic()
    await queue.wait(int(BLOCK_SECONDS * 1000))
    return time.monotonic() - began


async def clock(box: Box) -> Finding:
    """Compare this machine's clock with the server's, which a queue uses everywhere."""
    before = time.time()
    seconds, microseconds = map(int, await box.redis.execute("TIME"))
    away = seconds + microseconds / 1_000_000 - (before + time.time()) / 2
    found = f"Redis's is {abs(away):.1f} s {'ahead' if away > 0 else 'behind'}"
    if abs(away) <= MOST_CLOCK_SECONDS:
        return well(found)
    why = "times of jobs and of this worker's log disagree; TLS and KMS reject a clock that is far off"
    return wrong(
        found, wanted=f"at most {MOST_CLOCK_SECONDS} s", why=why, fix="on the wrong one: timedatectl set-ntp true"
    )
