"""The Lambda side of the queue: submit, look, cancel, list. Redis decides, in one script each; this module asks."""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from chalicelib.admission import Admission, QueuePolicy, Submission
from chalicelib.job_pages import MAX_SCANNED_JOBS, Cursor, Place
from chalicelib.lua_scripts import load_script
from chalicelib.models import Job, JobError, Status, rfc3339
from chalicelib.queue_keys import QueueKeys
from chalicelib.redis_client import RedisClient

JOB_ID = re.compile(r"job_[0-9a-f]{32}", re.ASCII)

_ADMIT = load_script("admit")
_SETTLE = load_script("settle")

type Action = Literal["look", "cancel"]


def new_job_id() -> str:
    """128 random bits: nobody guesses another caller's job, and no two routers draw the same."""
    return f"job_{secrets.token_hex(16)}"


class JobQueue:
    """All queues in one Redis, as callers' requests need them.

    Every method raises QueueUnavailable when Redis did not prove what it did.
    """

    def __init__(self, redis: RedisClient, policy: QueuePolicy, queues: Sequence[str]) -> None:
        self._redis = redis
        self._policy = policy
        self._queues = [QueueKeys(name) for name in queues]

    def submit(self, submission: Submission) -> Admission:
        """Admit the job, or say why not: one script, one round trip, all or nothing."""
        return Admission.from_reply(self._redis.run(_ADMIT, submission.keys, submission.args(self._policy)))

    def look(self, owner: str, job_id: str) -> Job | None:
        """The caller's job as it now stands, or None when the caller has no such job."""
        return self._settle(owner, job_id, "look")

    def cancel(self, owner: str, job_id: str) -> Job | None:
        """Cancel the caller's job if it is still open; the job as it then stands, or None."""
        return self._settle(owner, job_id, "cancel")

    def page(
        self, owner: str, limit: int, status: Status | None, after: Cursor | None
    ) -> tuple[list[Job], Cursor | None]:
        """Up to ``limit`` of the caller's jobs, newest first, and the cursor of the next page (None: there is none).

        A page may come out short when few of MAX_SCANNED_JOBS match ``status``; its cursor then goes on from there.
        """
        found: list[Job] = []
        scanned = 0
        while True:
            places = self._newest(owner, limit + 1, after)
            for place, job in zip(places, self._look_all(owner, places), strict=True):
                if len(found) == limit or scanned == MAX_SCANNED_JOBS:
                    return found, after
                after, scanned = place.cursor, scanned + 1
                if job is not None and status in (None, job.status):
                    found.append(job)
            if len(places) <= limit:
                return found, None

    def ping(self) -> None:
        """Prove that Redis answers."""
        self._redis.ask(self._redis.connection.ping)

    def _settle(self, owner: str, job_id: str, action: Action) -> Job | None:
        if not JOB_ID.fullmatch(job_id):
            return None
        for queue in self._queues:
            record = self._redis.run(_SETTLE, *_settle_call(queue, owner, job_id, action))
            if record:
                return _job(record)
        return None

    def _look_all(self, owner: str, places: Sequence[Place]) -> list[Job | None]:
        calls = [_settle_call(place.queue, owner, place.cursor.job_id, "look") for place in places]
        return [_job(record) if record else None for record in self._redis.run_each(_SETTLE, calls)]

    def _newest(self, owner: str, count: int, after: Cursor | None) -> list[Place]:
        """The next ``count`` of the caller's jobs over all queues, newest first."""
        places = [place for queue in self._queues for place in self._newest_in(queue, owner, count, after)]
        return sorted(places, key=lambda place: place.cursor, reverse=True)[:count]

    def _newest_in(self, queue: QueueKeys, owner: str, count: int, after: Cursor | None) -> list[Place]:
        """Jobs of one millisecond sort by id, so those already shown are skipped by comparing whole cursors."""
        start = "+inf" if after is None else str(after.created_at)
        cursors: list[Cursor] = []
        offset = 0
        while len(cursors) < count:
            rows = self._redis.ask(partial(self._rows, queue.owner(owner), start, offset, count))
            cursors += [row for row in rows if after is None or row < after]
            offset += count
            if len(rows) < count:
                break
        return [Place(cursor, queue) for cursor in cursors]

    def _rows(self, key: str, start: str, offset: int, count: int) -> list[Cursor]:
        rows: Any = self._redis.connection.zrange(
            key, start, "-inf", desc=True, byscore=True, withscores=True, offset=offset, num=count
        )
        return [Cursor(int(score), job_id) for job_id, score in rows]


def _settle_call(queue: QueueKeys, owner: str, job_id: str, action: Action) -> tuple[list[str], list[str]]:
    """``KEYS`` and ``ARGV`` of ``settle.lua``."""
    return [queue.job(job_id), queue.open_jobs(owner), *queue.streams], [job_id, owner, action]


def _job(flat: Sequence[str]) -> Job:
    """A record, as HGETALL lists it, as its caller sees it."""
    record: dict[str, Any] = dict(zip(flat[::2], flat[1::2], strict=True))
    return Job(
        id=record["id"],
        type=record["type"],
        queue=record["queue"],
        status=record["status"],
        priority=record["priority"],
        created_at=rfc3339(int(record["created_at"])),
        started_at=_time(record, "started_at"),
        finished_at=_time(record, "finished_at"),
        expires_at=rfc3339(int(record["deadline_at"])),
        attempts=int(record.get("attempts", 0)),
        result=json.loads(record["result"]) if "result" in record else None,
        error=JobError.model_validate_json(record["error"]) if "error" in record else None,
        metadata=json.loads(record["metadata"]),
        request_id=record["request_id"],
    )


def _time(record: Mapping[str, Any], name: str) -> str | None:
    return rfc3339(int(record[name])) if name in record else None
