"""The function's side of the queue: submit, look, cancel, list. Lua scripts in Redis make all decisions."""

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
from chalicelib.jobs.job_records import JOB_ID, Record, data_keys_in, jobs_from_reply, records_from_reply, result_bytes
from chalicelib.jobs.redis_client import RedisClient
from chalicelib.limits import UNAVAILABLE_RETRY_SECONDS, retry_after
from chalicelib.observability import log
from lambda_router_queue.encryption.data_keys import KeyUnavailable
from lambda_router_queue.encryption.sealing import Sealer
from lambda_router_queue.lua_scripts import load_script
from lambda_router_queue.models import FINAL_STATUSES, Job, Status
from lambda_router_queue.queue_keys import QueueKeys
from lambda_router_queue.redis.wire import Argument

_ADMIT = load_script("admit", "tries", folder=LUA)
_SETTLE = load_script("settle", folder=LUA)

type Action = Literal["look", "brief", "cancel", "take", "peek", "delete", "list"]

#: Actions on a single job that may delete its result.
_DELETING = frozenset({"take", "delete"})
#: The most data keys that the records of one request may be encrypted under. KMS is called at most once for each.
MAX_DATA_KEYS = 8


class TooManyDataKeys(Exception):
    """The records of one request are encrypted under more than MAX_DATA_KEYS data keys."""


@contextmanager
def keys_at_hand() -> Iterator[None]:
    """Turn KeyUnavailable into EncryptionUnavailable, which tells the caller to retry. Log why KMS gave no key."""
    try:
        yield
    except KeyUnavailable as error:
        log.error("encryption", extra={"explanation": str(error)})
        raise EncryptionUnavailable(
            "Jobs cannot be encrypted or decrypted at present; retry.",
            headers=retry_after(UNAVAILABLE_RETRY_SECONDS * 1000),
        ) from None


def new_job_id(queue: QueueKeys) -> str:
    """Return an id: ``job_``, the queue's tag (4 digits that say in which queue to look first), and 112 random bits.

    Nobody can guess it, and no two routers generate the same.
    """
    return f"job_{queue.tag}{secrets.token_hex(14)}"


class JobQueue:
    """The operations that requests need, on all queues that this process serves. The queues are in one Redis.

    Methods that call Redis raise QueueUnavailable if it did not confirm the operation, and QueueFull if its memory is
    full. They raise EncryptionUnavailable if inputs or results are encrypted and KMS does not provide the key.

    Args:
        queues: names of the queues.
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
        """Admit each job or say why not, in one round trip as a rule.

        If a cap rejects a job and the caller has expired jobs, two more round trips follow. The first frees the places
        of the expired jobs. In the second, the script decides again.
        """
        admission = self.decide(submission)
        if not admission.lapsed:
            return admission
        self._run_settle(submission.queue, submission.caller.owner, admission.lapsed, "brief")
        return self.decide(submission)

    def decide(self, submission: Submission) -> Admission:
        """Run ``admit.lua`` and return its decisions. Repeating the call is safe: admitted jobs stay admitted."""
        with keys_at_hand():
            args = submission.args(self._policy, self._sealer)
        return Admission.from_reply(self._redis.run(_ADMIT, submission.keys, args), len(submission.jobs))

    def look(self, owner: str, job_id: str) -> Job | None:
        """Return the caller's job as it is now, or None if the caller has no such job.

        A result that is not kept (``store`` is false) is neither returned nor deleted.
        """
        return _job(self.record(owner, job_id, "look"))

    def take(self, owner: str, job_id: str) -> Job | None:
        """Return the job as ``look`` does. A result that is not kept is returned too, and deleted in the same step."""
        return _job(self.take_record(owner, job_id))

    def take_record(self, owner: str, job_id: str) -> Record | None:
        """Return what ``take`` does, and with it the job's request as the OpenAI API shows it."""
        if self._sealer is not None:  # decrypt before deleting: without KMS, the result would be lost
            record = self.record(owner, job_id, "peek")
            if record is None or record.job.store or record.job.status not in FINAL_STATUSES:
                return record
        return self.record(owner, job_id, "take")

    def record(self, owner: str, job_id: str, action: Action) -> Record | None:
        """Perform the action on the caller's job. The queue whose tag the id has is searched first, then the others.

        Return the job as it is after the action, or None if the caller has no such job.
        """
        if not JOB_ID.fullmatch(job_id):
            return None
        tag = _tag(job_id)
        for queue in sorted(self._queues.values(), key=lambda queue: queue.tag != tag):
            reply = self._run_settle(queue, owner, [job_id], action)
            with keys_at_hand():
                (record,) = records_from_reply(reply, self._sealer)
            if record is not None:
                return record
        return None

    def records(self, owner: str, job_ids: Sequence[str]) -> list[Record | None]:
        """Return several of the caller's jobs, with results, in one round trip; None for each id without a job.

        Results that are not kept (``store`` is false) are left out. Raises TooManyDataKeys.
        """
        tags = {queue.tag for queue in self._queues.values()}
        by_queue = {
            queue: [job_id for job_id in job_ids if _tag(job_id) == queue.tag or _tag(job_id) not in tags]
            for queue in self._queues.values()
        }
        asked = {queue: ids for queue, ids in by_queue.items() if ids}
        replies = self._redis.run_all(
            _SETTLE, [self._settle_call(queue, owner, ids, "look") for queue, ids in asked.items()]
        )
        if len(set().union(*map(data_keys_in, replies))) > MAX_DATA_KEYS:
            raise TooManyDataKeys
        found: dict[str, Record] = {}
        with keys_at_hand():
            for ids, reply in zip(asked.values(), replies, strict=True):
                records = zip(ids, records_from_reply(reply, self._sealer), strict=True)
                found |= {job_id: record for job_id, record in records if record is not None}
        return [found.get(job_id) for job_id in job_ids]

    def look_all(self, queue: QueueKeys, owner: str, job_ids: Sequence[str]) -> list[Job | None]:
        """Return several of the caller's jobs, without results, in one round trip; None for each id without a job."""
        known = [job_id for job_id in job_ids if JOB_ID.fullmatch(job_id)]
        jobs = jobs_from_reply(self._run_settle(queue, owner, known, "brief")) if known else []
        found = dict(zip(known, jobs, strict=True))
        return [found.get(job_id) for job_id in job_ids]

    def cancel(self, owner: str, job_id: str) -> Job | None:
        """Cancel the caller's job if it is still open. Return the job, or None if there is no such job."""
        return _job(self.record(owner, job_id, "cancel"))

    def page(self, owner: str, limit: int, status: Status | None, after: Cursor | None) -> Page:
        """Return up to ``limit`` of the caller's jobs, newest first, in at most MAX_ROUND_TRIPS round trips.

        The page ends early when MAX_SCANNED_JOBS were examined, when the results together grow too large, or when the
        round trips are used up, as they are if the caller's lists hold many entries that are not jobs.
        """
        scan = Scan(self._queues.values(), owner, after)
        page = Filling(limit)
        batch_size = limit if status is None else MAX_SCANNED_JOBS
        trips = 0
        while not page.is_full and trips < MAX_ROUND_TRIPS - 1:
            if commands := scan.commands(batch_size):
                scan.take_in(self._redis.execute_all(commands))
                trips += 1
            places = scan.places(min(batch_size, page.scans_left))
            if not places and not commands:
                break
            batch_size = MAX_SCANNED_JOBS
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
        """Return Redis's ``maxmemory-policy``. The round trip for each queue also shows that Redis responds.

        In a cluster, return the policy of the first queue whose node evicts keys, if any. The policy is empty if the
        server does not report it, and None if this Redis user lacks the permission.
        """
        from chalicelib.jobs.eviction import policy  # deferred: a cold start does not need these modules
        from lambda_router_queue.eviction import evicting

        policies = [policy(self._redis, queue) for queue in self._queues.values()]
        return next((found for found in policies if found and evicting(found)), policies[0])

    def close(self) -> None:
        """Close the connections; the next request opens a new one."""
        self._redis.close()

    def _run_settle(self, queue: QueueKeys, owner: str, job_ids: Sequence[str], action: Action) -> Any:
        keys, args = self._settle_call(queue, owner, job_ids, action)
        if action in _DELETING:
            keys += [queue.handover(job_ids[0]), queue.dead, queue.events(job_ids[0])]
            args.append(secrets.token_hex(8))  # a nonce: if the reply is lost, the repeated call gets the result again
        return self._redis.run(_SETTLE, keys, args)

    def _settle_call(
        self, queue: QueueKeys, owner: str, job_ids: Sequence[str], action: Action, *how: Argument
    ) -> tuple[list[str], list[Argument]]:
        """Return ``KEYS`` and ``ARGV`` of ``settle.lua``."""
        shared = [queue.open_jobs(owner), queue.scheduled, queue.flow, queue.owner(owner), queue.retrying]
        shared.append(queue.stored_bytes(owner))
        return [*shared, *queue.streams, *map(queue.job, job_ids)], [owner, action, *how, *job_ids]

    def _look_at(self, owner: str, places: Sequence[Place], most: int, status: Status | None) -> Looked:
        """Return the jobs at those places, in one round trip: up to ``most`` per queue, while their results fit."""
        ids: dict[QueueKeys, list[str]] = {}
        for place in places:
            ids.setdefault(place.queue, []).append(place.cursor.job_id)
        how = (most, MAX_RESULT_BYTES, status or "")
        calls = [self._settle_call(queue, owner, job_ids, "list", *how) for queue, job_ids in ids.items()]
        replies = self._redis.run_all(_SETTLE, calls)
        looked: Looked = {}
        with keys_at_hand():
            for queue, reply in zip(ids, replies, strict=True):
                looked[queue] = deque(zip(jobs_from_reply(reply, self._sealer), result_bytes(reply), strict=True))
        return looked


def _job(record: Record | None) -> Job | None:
    return record and record.job


def _tag(job_id: str) -> str:
    return job_id[4:8]
