"""A worker that sleeps while its job is given up on, redriven by an operator and done by another."""

import os
import signal
import subprocess
import sys

import pytest

from lambda_router_queue.lua_scripts import load_script
from tests.conformance.kit import ROOT, Bench
from tests.patience import eventually

_REJECT = load_script("reject", "lease", folder=ROOT / "lambda_router_worker/queue/lua").text


def give_up(bench: Bench, job_id: str) -> None:
    """As a worker that cannot read the job, once the lease is over."""
    keys, record = bench.keys, bench.record(job_id)
    named = [keys.job(job_id), keys.streams[int(record["stream"])], keys.open_jobs("alice"), keys.scheduled]
    named += [keys.flow, keys.dead, keys.owner("alice"), keys.retrying, keys.stored_bytes("alice")]
    words = [job_id, record["stream_id"], "unreadable", "No worker could read this job."]
    assert eventually(lambda: bench.db.eval(_REJECT, len(named), *named, *words) == "dead")


def redrive(bench: Bench, job_id: str) -> str:
    command = [sys.executable, "-m", "lambda_router_worker", "dead", "retry", job_id]
    environ = {**os.environ, "REDIS_URL": bench.url, "WORKER_QUEUE": bench.queue}  # noqa: TID251 (the command's)
    return subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True).stdout


@pytest.mark.conformance_full
def test_a_worker_that_slept_through_a_redrive_cannot_write(bench: Bench):
    """It wakes while another attempt has the job, whose attempts are counted from 1 again."""
    sleeper = bench.worker()
    prompt = bench.prompt("hang")
    job_id = bench.submit(prompt)
    bench.reached(prompt)
    sleeper.signal(signal.SIGSTOP)
    stale = bench.record(job_id)["lease_token"]
    give_up(bench, job_id)
    assert redrive(bench, job_id) == f"{job_id}: queued\n"
    successor = bench.worker()
    bench.reached(prompt, times=2)
    assert int(bench.record(job_id)["lease_token"]) > int(stale)
    successor.signal(signal.SIGSTOP)
    bench.model.release(prompt)
    sleeper.signal(signal.SIGCONT)
    assert bench.final(bench.submit(bench.prompt("echo"))).status == "completed"  # so it has dealt with the old job
    successor.signal(signal.SIGCONT)

    job = bench.final(job_id)
    assert (job.status, job.result["text"]) == ("completed", f"{prompt} #{job.attempts + 1}")
    assert [process.alive for process in (sleeper, successor)] == [True, True]
