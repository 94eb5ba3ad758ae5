"""What stands in Redis: the queue's keys, and whatever is behind them."""

import json
from collections.abc import Callable
from itertools import chain
from typing import Any

from redis import Redis

from lambda_router_queue.models import Priority
from lambda_router_queue.queue_keys import GROUP, LANES, QueueKeys

QUEUE = "tinyllama"

KEYS = QueueKeys(QUEUE)


def everything(db: Redis) -> dict[str, tuple[int, bytes]]:
    """Every key with its expiry time and its whole value, for comparing before with after.

    What is about to vanish by itself is left out: the state of a rate so high that it says nothing for long.
    """
    with Redis.from_url(redis_url_of(db)) as raw:
        lasting = [key for key in raw.scan_iter() if raw.pttl(key) == -1 or raw.pttl(key) > 2_000]
        return {key.decode(): (raw.pexpiretime(key), _value(raw, key)) for key in lasting}


def _value(raw: Redis, key: bytes) -> bytes:
    """A hash of some size is dumped in an order that changes by itself."""
    if raw.type(key) != b"hash":
        return raw.dump(key)
    return b" ".join(chain.from_iterable(sorted(raw.hgetall(key).items())))


def every_text(db: Redis) -> str:
    """All keys and values as one text to search in."""
    read: dict[str, Callable[[str], Any]] = {
        "string": db.get,
        "hash": db.hgetall,
        "zset": lambda key: db.zrange(key, 0, -1, withscores=True),
        "stream": db.xrange,
        "none": lambda _: "",  # it has expired since it was listed
    }
    return "\n".join(f"{key} {read[db.type(key)](key)}" for key in db.scan_iter())


def lanes(priority: Priority = "normal", keys: QueueKeys = KEYS) -> list[str]:
    """The streams of one priority."""
    return [keys.stream(priority, lane) for lane in range(LANES)]


def entries(db: Redis, priority: Priority = "normal") -> list[tuple[str, dict[str, Any]]]:
    """Entry ids and envelopes of a priority's streams, in the order in which one caller sent them."""
    found = [entry for stream in lanes(priority) for entry in db.xrange(stream)]
    found.sort(key=lambda entry: int(entry[0].partition("-")[0]))  # lanes fill up in order within a millisecond
    return [(entry_id, json.loads(fields["job"])) for entry_id, fields in found]


def expire(db: Redis, location: str) -> None:
    """Let the job have waited past its deadline."""
    job_id, long_ago = location.rpartition("/")[2], 1_700_000_000_000
    db.hset(KEYS.job(job_id), "deadline_at", long_ago)
    db.zadd(KEYS.open_jobs(str(db.hget(KEYS.job(job_id), "owner"))), {job_id: long_ago}, xx=True)


def stream_of(db: Redis, job_id: str) -> str:
    """The stream that the job's record names."""
    return KEYS.streams[int(str(db.hget(KEYS.job(job_id), "stream")))]


def stored_jobs(db: Redis) -> int:
    """Entries in all streams."""
    return sum(db.xlen(stream) for stream in KEYS.streams)


def pending(db: Redis) -> list[dict[str, Any]]:
    """Claimed entries of all streams: ``consumer``, ``times_delivered`` and so on."""
    streams = [stream for stream in KEYS.streams if db.exists(stream) and db.xinfo_groups(stream)]
    return [entry for stream in streams for entry in db.xpending_range(stream, GROUP, "-", "+", 100)]


def dead_letters(db: Redis) -> list[dict[str, str]]:
    """Jobs given up on, the oldest first."""
    return [fields for _, fields in db.xrange(KEYS.dead)]


def redis_url_of(db: Redis) -> str:
    where = db.connection_pool.connection_kwargs
    return f"redis://{where['host']}:{where['port']}/0"
