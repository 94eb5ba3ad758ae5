"""The Lambda side of the queue: submit, look, cancel, list. Redis decides, in one script each; this module asks."""

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from chalicelib.admission import Admission, QueuePolicy, Submission
from chalicelib.data_keys import KeyUnavailable
from chalicelib.errors import EncryptionUnavailable
from chalicelib.job_pages import MAX_SCANNED_JOBS, Cursor, Place
from chalicelib.job_records import JOB_ID, jobs_from_reply
from chalicelib.limits import UNAVAILABLE_RETRY_SECONDS, retry_after
from chalicelib.lua_scripts import load_script
from chalicelib.models import FINAL_STATUSES, Job, Status
from chalicelib.observability import log
from chalicelib.queue_keys import QueueKeys
from chalicelib.redis_client import RedisClient
from chalicelib.sealing import Sealer

_SCORE = re.compile(r"[0-9]{1,15}", re.ASCII)

_ADMIT = load_script("admit")
_SETTLE = load_script("settle")

type Action = Literal["look", "brief", "cancel", "take", "peek"]


@contextmanager
def _keys_at_hand() -> Iterator[None]:
    """Tells the log why KMS did not hand out a key, and the caller to come back."""
    try:
        yield
    except KeyUnavailable as error:
        log.error("encryption", extra={"explanation": str(error)})
        raise EncryptionUnavailable(
            "Jobs cannot be encrypted or decrypted at present; repeat the request.",
            headers=retry_after(UNAVAILABLE_RETRY_SECONDS * 1000),
        ) from None


def new_job_id() -> str:
    """128 random bits: nobody guesses another caller's job, and no two routers draw the same."""
    return f"job_{secrets.token_hex(16)}"


class JobQueue:
    """All queues in one Redis, as callers' requests need them.

    Every method raises QueueUnavailable when Redis did not prove what it did, QueueFull when its memory is full, and
    EncryptionUnavailable when inputs or results are encrypted and KMS does not hand out the key.

    Args:
        sealer: encrypts inputs and decrypts results; None: inputs are stored in the clear.
    """

    def __init__(
        self, redis: RedisClient, policy: QueuePolicy, queues: Sequence[str], sealer: Sealer | None = None
    ) -> None:
        self._redis = redis
        self._sealer = sealer
        self._policy = policy
        self._queues = {name: QueueKeys(name) for name in queues}

    def keys(self, queue: str) -> QueueKeys:
        """The keys of one of the queues that this process serves."""
        return self._queues[queue]

    def submit(self, submission: Submission) -> Admission:
        """Admit each of the jobs, or say why not: one script, one round trip."""
        with _keys_at_hand():
            args = submission.args(self._policy, self._sealer)
        return Admission.from_reply(self._redis.run(_ADMIT, submission.keys, args))

    def look(self, owner: str, job_id: str) -> Job | None:
        """The caller's job as it now stands, or None when the caller has no such job.

        A result that is not kept (``store`` is false) stays where it is and is not shown.
        """
        return self._settle(owner, job_id, "look")

    def take(self, owner: str, job_id: str) -> Job | None:
        """The same, for its reader: a result that is not kept is shown now, and never again."""
        if self._sealer is not None:  # KMS may be away, and what was taken could not be given back
            job = self._settle(owner, job_id, "peek")
            if job is None or job.store or job.status not in FINAL_STATUSES:
                return job
        return self._settle(owner, job_id, "take")

    def look_all(self, queue: QueueKeys, owner: str, job_ids: Sequence[str]) -> list[Job | None]:
        """Several of the caller's jobs without their results, in one round trip."""
        return self._settle_in(queue, owner, job_ids, "brief") if job_ids else []

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
            jobs = self._look_at(owner, places)
            for place in places:
                if len(found) == limit or scanned == MAX_SCANNED_JOBS:
                    return found, after
                if place not in jobs:  # the results before it fill the answer
                    return found, after
                after, scanned = place.cursor, scanned + 1
                job = jobs[place]
                if job is not None and status in (None, job.status):
                    found.append(job)
            if len(places) <= limit:
                return found, None

    def ping(self) -> None:
        """Prove that Redis answers."""
        self._redis.ping()

    def eviction_policy(self) -> str | None:
        """Redis's ``maxmemory-policy``, in one round trip that also proves that Redis answers.

        In a cluster it is that of the first queue whose node evicts. Empty where the server does not tell, None where
        this user may not ask.
        """
        from chalicelib import eviction  # a cold start does without it

        policies = [eviction.policy(self._redis, queue) for queue in self._queues.values()]
        return next((policy for policy in policies if policy and eviction.evicting(policy)), policies[0])

    def close(self) -> None:
        """Hang up; the next request opens a connection anew."""
        self._redis.close()

    def _settle(self, owner: str, job_id: str, action: Action) -> Job | None:
        if not JOB_ID.fullmatch(job_id):
            return None
        for queue in self._queues.values():
            (job,) = self._settle_in(queue, owner, [job_id], action)
            if job is not None:
                return job
        return None

    def _settle_in(self, queue: QueueKeys, owner: str, job_ids: Sequence[str], action: Action) -> list[Job | None]:
        shared = [queue.open_jobs(owner), queue.scheduled, queue.flow, queue.owner(owner), queue.retrying]
        keys = [*shared, *queue.streams, *map(queue.job, job_ids)]
        args = [owner, action, *job_ids]
        if action == "take":
            keys += map(queue.handover, job_ids)
            args.append(secrets.token_hex(8))  # so that the result is not lost with an answer
        reply = self._redis.run(_SETTLE, keys, args)
        with _keys_at_hand():
            return jobs_from_reply(reply, self._sealer)

    def _look_at(self, owner: str, places: Sequence[Place]) -> dict[Place, Job | None]:
        """The jobs at those places; each queue is asked once. The last may be missing where results are large."""
        jobs: dict[Place, Job | None] = {}
        for queue in self._queues.values():
            here = [place for place in places if place.queue is queue]
            if here:
                found = self._settle_in(queue, owner, [place.cursor.job_id for place in here], "look")
                jobs |= zip(here, found, strict=False)
        return jobs

    def _newest(self, owner: str, count: int, after: Cursor | None) -> list[Place]:
        """The next ``count`` of the caller's jobs over all queues, newest first."""
        places = [place for queue in self._queues.values() for place in self._newest_in(queue, owner, count, after)]
        return sorted(places, key=lambda place: place.cursor, reverse=True)[:count]

    def _newest_in(self, queue: QueueKeys, owner: str, count: int, after: Cursor | None) -> list[Place]:
        """Jobs of one millisecond sort by id, so those already shown are skipped by comparing whole cursors."""
        start = "+inf" if after is None else str(after.created_at)
        cursors: list[Cursor] = []
        offset = 0
        while len(cursors) < count:
            rows = self._rows(queue.owner(owner), start, offset, count)
            cursors += [row for row in rows if row is not None and (after is None or row < after)]
            offset += count
            if len(rows) < count:
                break
        return [Place(cursor, queue) for cursor in cursors]

    def _rows(self, key: str, start: str, offset: int, count: int) -> list[Cursor | None]:
        rows = self._redis.execute("ZRANGE", key, start, "-inf", "BYSCORE", "REV", "LIMIT", offset, count, "WITHSCORES")
        return [_cursor(score, job_id) for job_id, score in zip(rows[::2], rows[1::2], strict=True)]


def _cursor(score: str, job_id: str) -> Cursor | None:
    """None for an entry that admission did not write."""
    return Cursor(int(score), job_id) if _SCORE.fullmatch(score) and JOB_ID.fullmatch(job_id) else None
