"""The function's side of the queue: submit, look, cancel, list. Each is decided in Redis, by one script."""

import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from chalicelib.errors import EncryptionUnavailable
from chalicelib.jobs import LUA
from chalicelib.jobs.admission import Admission, QueuePolicy, Submission
from chalicelib.jobs.job_pages import (
    MAX_RESULT_BYTES,
    MAX_ROUND_TRIPS,
    MAX_SCANNED_JOBS,
    Cursor,
    Filling,
    Looked,
    Page,
    Place,
    Scan,
)
from chalicelib.jobs.job_records import JOB_ID, jobs_from_reply, result_bytes
from chalicelib.jobs.redis_client import RedisClient
from chalicelib.limits import UNAVAILABLE_RETRY_SECONDS, retry_after
from chalicelib.observability import log
from lambda_router_queue.encryption.data_keys import KeyUnavailable
from lambda_router_queue.encryption.sealing import Sealer
from lambda_router_queue.lua_scripts import load_script
from lambda_router_queue.models import FINAL_STATUSES, Job, Status
from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_queue.redis.wire import Argument

_ADMIT = load_script("admit", folder=LUA)
_SETTLE = load_script("settle", folder=LUA)

type Action = Literal["look", "brief", "cancel", "take", "peek", "list"]


@contextmanager
def _keys_at_hand() -> Iterator[None]:
    """Log why KMS did not provide a key, and tell the caller to retry."""
    try:
        yield
    except KeyUnavailable as error:
        log.error("encryption", extra={"explanation": str(error)})
        raise EncryptionUnavailable(
            "Jobs cannot be encrypted or decrypted at present; retry.",
            headers=retry_after(UNAVAILABLE_RETRY_SECONDS * 1000),
        ) from None


def new_job_id() -> str:
    """Return an id of 128 random bits, so that nobody can guess it and no two routers generate the same."""
    return f"job_{secrets.token_hex(16)}"


class JobQueue:
    """All queues in one Redis, as callers' requests need them.

    Every method raises QueueUnavailable if Redis did not confirm what it did, QueueFull if its memory is full, and
    EncryptionUnavailable if inputs or results are encrypted and KMS does not provide the key.

    Args:
        sealer: encrypts inputs and decrypts results; None stores inputs unencrypted.
    """

    def __init__(
        self, redis: RedisClient, policy: QueuePolicy, queues: Sequence[str], sealer: Sealer | None = None
    ) -> None:
        self._redis = redis
        self._sealer = sealer
        self._policy = policy
        self._queues = {name: QueueKeys(name) for name in queues}

    def keys(self, queue: str) -> QueueKeys:
        """Return the keys of one of the queues that this process serves."""
        return self._queues[queue]

    def submit(self, submission: Submission) -> Admission:
        """Admit each job or say why not, in one round trip.

        If a cap rejects a job and the caller has expired jobs, their places are freed and the script decides once more.
        """
        admission = self.decide(submission)
        if not admission.lapsed:
            return admission
        self._run_settle(submission.queue, submission.caller.owner, admission.lapsed, "brief")
        return self.decide(submission)

    def decide(self, submission: Submission) -> Admission:
        """Return the script's decision. Repeating it is safe: admitted jobs stay admitted."""
        with _keys_at_hand():
            args = submission.args(self._policy, self._sealer)
        return Admission.from_reply(self._redis.run(_ADMIT, submission.keys, args), len(submission.jobs))

    def look(self, owner: str, job_id: str) -> Job | None:
        """Return the caller's job as it is now, or None if the caller has no such job.

        A result that is not kept (``store`` is false) is neither returned nor deleted.
        """
        return self._settle(owner, job_id, "look")

    def take(self, owner: str, job_id: str) -> Job | None:
        """Return the job as ``look`` does, for its reader: a result that is not kept is returned now, never again."""
        if self._sealer is not None:  # if KMS is unavailable, a result taken now would be lost
            job = self._settle(owner, job_id, "peek")
            if job is None or job.store or job.status not in FINAL_STATUSES:
                return job
        return self._settle(owner, job_id, "take")

    def look_all(self, queue: QueueKeys, owner: str, job_ids: Sequence[str]) -> list[Job | None]:
        """Return several of the caller's jobs without results, in one round trip; None for each id without a job."""
        known = [job_id for job_id in job_ids if JOB_ID.fullmatch(job_id)]
        found = dict(zip(known, self._settle_in(queue, owner, known, "brief"), strict=True)) if known else {}
        return [found.get(job_id) for job_id in job_ids]

    def cancel(self, owner: str, job_id: str) -> Job | None:
        """Cancel the caller's job if it is still open. Return the job, or None if there is no such job."""
        return self._settle(owner, job_id, "cancel")

    def page(self, owner: str, limit: int, status: Status | None, after: Cursor | None) -> Page:
        """Return up to ``limit`` of the caller's jobs, newest first, in at most MAX_ROUND_TRIPS.

        A page stops early once MAX_SCANNED_JOBS were examined, if the results together grow too large, or if the list
        was filled with other entries.
        """
        scan = Scan(self._queues.values(), owner, after)
        page = Filling(limit)
        at_once = limit if status is None else MAX_SCANNED_JOBS
        trips = 0
        while not page.is_full and trips < MAX_ROUND_TRIPS - 1:
            if commands := scan.commands(at_once):
                scan.take_in(self._redis.execute_all(commands))
                trips += 1
            places = scan.places(min(at_once, page.still_scanned))
            if not places and not commands:
                break
            at_once = MAX_SCANNED_JOBS
            if places:
                looked = self._look_at(owner, places, page.missing, status)
                trips += 1
                for place in page.taken(places, looked):
                    scan.pass_over(place)
        if scan.odd_entries:
            log.error("odd_entries", extra={"entries": scan.odd_entries})
        return page.whole(scan.after())

    def ping(self) -> None:
        """Check that Redis responds."""
        self._redis.ping()

    def eviction_policy(self) -> str | None:
        """Return Redis's ``maxmemory-policy``, in one round trip that also shows that Redis responds.

        In a cluster it is that of the first queue whose node evicts keys. It is empty if the server does not report it,
        and None if this user lacks the permission.
        """
        from chalicelib.jobs.eviction import policy  # deferred: a cold start does not need these
        from lambda_router_queue.eviction import evicting

        policies = [policy(self._redis, queue) for queue in self._queues.values()]
        return next((found for found in policies if found and evicting(found)), policies[0])

    def close(self) -> None:
        """Close the connections; the next request opens a new one."""
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
        reply = self._run_settle(queue, owner, job_ids, action)
        with _keys_at_hand():
            return jobs_from_reply(reply, self._sealer)

    def _run_settle(self, queue: QueueKeys, owner: str, job_ids: Sequence[str], action: Action) -> Any:
        keys, args = self._settle_call(queue, owner, job_ids, action)
        if action == "take":
            keys += map(queue.handover, job_ids)
            args.append(secrets.token_hex(8))  # so that a lost reply does not lose the result
        return self._redis.run(_SETTLE, keys, args)

    def _settle_call(
        self, queue: QueueKeys, owner: str, job_ids: Sequence[str], action: Action, *how: Argument
    ) -> tuple[list[str], list[Argument]]:
        """Return ``KEYS`` and ``ARGV`` of ``settle.lua``."""
        shared = [queue.open_jobs(owner), queue.scheduled, queue.flow, queue.owner(owner), queue.retrying]
        shared.append(queue.stored_bytes(owner))
        return [*shared, *queue.streams, *map(queue.job, job_ids)], [owner, action, *how, *job_ids]

    def _look_at(self, owner: str, places: Sequence[Place], most: int, status: Status | None) -> Looked:
        """Return the jobs at those places, in one round trip: per queue ``most``, or as many as fit."""
        ids: dict[QueueKeys, list[str]] = {}
        for place in places:
            ids.setdefault(place.queue, []).append(place.cursor.job_id)
        how = (most, MAX_RESULT_BYTES, status or "")
        calls = [self._settle_call(queue, owner, of_queue, "list", *how) for queue, of_queue in ids.items()]
        replies = self._redis.run_all(_SETTLE, calls)
        looked: Looked = {}
        with _keys_at_hand():
            for queue, reply in zip(ids, replies, strict=True):
                looked[queue] = deque(zip(jobs_from_reply(reply, self._sealer), result_bytes(reply), strict=True))
        return looked
