"""``lambda-router-worker`` told to stop: what it waits for, what a second signal does, and threads that do not end."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from lambda_router_worker.queue.work_queue import RELEASED
from tests.conftest import Router
from tests.integration.conftest import ReadJob, Submit
from tests.integration.in_redis import KEYS, pending
from tests.integration.worker.worker_program import log_of, worker_process
from tests.integration.worker.worker_side import is_final
from tests.patience import eventually

HANDLERS = """
import asyncio, pathlib, time

def begun(job):
    pathlib.Path(job.id).touch()
    return pathlib.Path("go " + job.input["prompt"])

def in_a_thread(job):
    go = begun(job)
    while not go.exists():
        time.sleep(0.02)
    pathlib.Path("ended " + job.id).touch()
    return "done"

async def in_a_coroutine(job):
    go = begun(job)
    while not go.exists():
        await asyncio.sleep(0.02)
    return "done"

async def stubborn(job):
    while True:
        try:
            await in_a_coroutine(job)
        except BaseException:
            pass

async def blocking(job):
    in_a_thread(job)
"""


def options(handler: str, concurrency: int = 1, lease_seconds: int = 30) -> list[str]:
    return [
        "--handler",
        f"my_handlers:{handler}",
        "--concurrency",
        str(concurrency),
        "--lease-seconds",
        str(lease_seconds),
    ]


def lines(folder: Path, message: str) -> list[dict[str, Any]]:
    return [line for line in log_of(folder) if line["message"] == message]


@pytest.mark.parametrize("ended_by", ["cancellation", "time limit"])
def test_a_thread_that_outlives_its_job_keeps_its_place_until_it_ends(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob, router: Router, ended_by: str
):
    long, after = submit("long", type="quick"), submit("after")
    with worker_process(tmp_path, redis_url, *options("in_a_thread"), handlers=HANDLERS) as process:
        assert eventually((tmp_path / long).exists, seconds=20)
        if ended_by == "cancellation":
            router.delete(f"/v1/jobs/{long}")
        assert eventually(lambda: lines(tmp_path, "worked"))
        assert read(long)["status"] == ("cancelled" if ended_by == "cancellation" else "failed")
        time.sleep(1.5)
        assert not (tmp_path / after).exists()
        assert read(after)["status"] == "queued"
        (tmp_path / "go long").touch()
        assert eventually((tmp_path / after).exists)
        (tmp_path / "go after").touch()
        assert eventually(is_final(read, after))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    [goes_on], [ended] = lines(tmp_path, "thread goes on"), lines(tmp_path, "thread ended")
    assert (goes_on["level"], goes_on["job_id"], ended["job_id"]) == ("WARNING", long, long)
    assert ended["after_ms"] > 1_000
    assert read(after)["status"] == "completed"


def test_draining_waits_for_threads_and_says_what_it_waits_for(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob, router: Router
):
    jobs = [submit("thread"), submit("work")]
    with worker_process(tmp_path, redis_url, *options("in_a_thread", 2), handlers=HANDLERS) as process:
        assert eventually(lambda: all((tmp_path / job_id).exists() for job_id in jobs), seconds=20)
        router.delete(f"/v1/jobs/{jobs[0]}")
        assert eventually(lambda: lines(tmp_path, "thread goes on"))
        process.send_signal(signal.SIGTERM)
        assert eventually(lambda: len(lines(tmp_path, "draining")) == 2, seconds=15)
        assert process.poll() is None
        (tmp_path / "go work").touch()
        assert eventually(is_final(read, jobs[1]))
        time.sleep(0.5)
        assert process.poll() is None
        (tmp_path / "go thread").touch()
        assert process.wait(timeout=10) == 0
    for line in lines(tmp_path, "draining"):
        assert (line["running"], line["jobs"]) == (2, sorted(jobs))
    assert (tmp_path / f"ended {jobs[0]}").exists()


INT, TERM = signal.SIGINT, signal.SIGTERM
TWO_SIGNALS = {"SIGINT twice": (INT, INT, 130), "SIGTERM twice": (TERM, TERM, 143), "SIGTERM, SIGINT": (TERM, INT, 130)}


@pytest.mark.parametrize("handler", ["in_a_thread", "in_a_coroutine", "stubborn"])
@pytest.mark.parametrize(("first", "second", "status"), TWO_SIGNALS.values(), ids=TWO_SIGNALS.keys())
def test_a_second_signal_gives_jobs_back_and_ends_at_once(
    tmp_path: Path,
    redis_url: str,
    submit: Submit,
    read: ReadJob,
    db: redis.Redis,
    handler: str,
    first: signal.Signals,
    second: signal.Signals,
    status: int,
):
    jobs = sorted([submit("a"), submit("b")])
    with worker_process(tmp_path, redis_url, *options(handler, 2), handlers=HANDLERS) as process:
        assert eventually(lambda: all((tmp_path / job_id).exists() for job_id in jobs), seconds=20)
        process.send_signal(first)
        assert eventually(lambda: lines(tmp_path, "draining"))
        process.send_signal(second)
        assert process.wait(timeout=3) == status
    for job_id in jobs:
        job = read(job_id)
        assert (job["status"], job["attempts"], job["last_error"]) == ("queued", 0, None)
        assert job["started_at"] is not None  # so that it does not expire
    assert {entry["consumer"] for entry in pending(db)} == {RELEASED}
    [line] = lines(tmp_path, "ended at once")
    assert (line["running"], sorted(line["given_back"])) == (2, jobs)
    assert db.zcard(KEYS.workers) == 0


def test_what_was_given_back_is_worked_by_the_next_worker(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob
):
    job_id = submit("go")
    with worker_process(tmp_path, redis_url, *options("in_a_thread"), handlers=HANDLERS) as process:
        assert eventually((tmp_path / job_id).exists, seconds=20)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) in {130, 143}
    (tmp_path / "go go").touch()
    with worker_process(tmp_path, redis_url, *options("in_a_thread"), handlers=HANDLERS):
        assert eventually(is_final(read, job_id), seconds=20)
    assert (read(job_id)["status"], read(job_id)["attempts"]) == ("completed", 1)


def test_a_second_signal_ends_a_worker_whose_event_loop_does_not_turn(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob
):
    job_id = submit()
    with worker_process(tmp_path, redis_url, *options("blocking"), handlers=HANDLERS) as process:
        assert eventually((tmp_path / job_id).exists, seconds=20)
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        assert process.wait(timeout=8) == -signal.SIGALRM
    assert read(job_id)["status"] == "in_progress"  # until its lease lapses


def test_a_second_signal_ends_a_worker_whose_redis_is_silent(
    tmp_path: Path, own_redis_url: str, own_valkey: Any, breakable: Router
):
    reply = breakable.post("/v1/jobs", {"type": "generate", "input": {"prompt": "a"}})
    with worker_process(tmp_path, own_redis_url, *options("in_a_thread"), handlers=HANDLERS) as process:
        assert eventually((tmp_path / reply.json["id"]).exists, seconds=20)
        own_valkey.terminate()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=8) in {130, 143}
    assert [line["given_back"] for line in lines(tmp_path, "ended at once")] == [[]]


def test_a_signal_before_there_is_any_work_ends_the_process_at_once(tmp_path: Path, redis_url: str):
    slow = "import pathlib, time\npathlib.Path('importing').touch()\ntime.sleep(30)\n" + HANDLERS
    with worker_process(tmp_path, redis_url, *options("in_a_thread"), handlers=slow) as process:
        assert eventually((tmp_path / "importing").exists, seconds=20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=3) == 0
