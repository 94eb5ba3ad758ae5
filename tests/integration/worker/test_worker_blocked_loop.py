"""A coroutine that computes without waiting keeps every lease from being renewed: the log says so in time."""

import signal
from pathlib import Path

import pytest

from tests.integration.conftest import ReadJob, Submit
from tests.integration.worker.worker_program import log_of, worker_process
from tests.integration.worker.worker_side import is_final
from tests.patience import eventually

HANDLERS = """
import asyncio, hashlib, pathlib, time

SECRET = "a word of the prompt"

async def sleeps(job):
    prompt = job.input["prompt"]
    time.sleep(2)  # line 8
    return "done"

async def computes(job):
    deepest(job, time.monotonic() + 2)
    return "done"

def deepest(job, until):
    while time.monotonic() < until:  # line 16
        hashlib.sha256(job.input["prompt"].encode())  # line 17

async def waits(job):
    await asyncio.sleep(2)
    return "done"

def in_a_thread(job):
    time.sleep(2)
    return "done"
"""


@pytest.mark.parametrize(("handler", "places"), [("sleeps", {8}), ("computes", {16, 17})])
def test_a_handler_that_blocks_the_event_loop_is_named_before_leases_are_lost(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob, handler: str, places: set[int]
):
    prompt = "a word of the prompt"
    job_id = submit(prompt)
    options = ("--handler", f"my_handlers:{handler}", "--lease-seconds", "3")
    with worker_process(tmp_path, redis_url, *options, handlers=HANDLERS) as process:
        assert eventually(lambda: blocked(tmp_path), seconds=20)
        assert read(job_id)["status"] == "in_progress"
        assert eventually(is_final(read, job_id))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    [line] = blocked(tmp_path)
    assert (line["level"], line["handler"], line["job_id"]) == ("WARNING", f"my_handlers:{handler}", job_id)
    assert 1 <= line["seconds"] < 2
    assert any(f"my_handlers.py:{place} in" in line["exception"] for place in places)
    assert prompt not in (tmp_path / "log").read_text()
    assert (read(job_id)["status"], read(job_id)["attempts"]) == ("completed", 1)


@pytest.mark.parametrize("handler", ["waits", "in_a_thread"])
def test_a_handler_that_waits_is_not_taken_for_one_that_blocks(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob, handler: str
):
    job_id = submit()
    options = ("--handler", f"my_handlers:{handler}", "--lease-seconds", "3")
    with worker_process(tmp_path, redis_url, *options, handlers=HANDLERS) as process:
        assert eventually(is_final(read, job_id), seconds=20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert blocked(tmp_path) == []


def test_a_process_that_was_stopped_for_a_while_is_not_its_handler_s_fault(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob
):
    job_id = submit()
    options = ("--handler", "my_handlers:waits", "--lease-seconds", "3")
    with worker_process(tmp_path, redis_url, *options, handlers=HANDLERS) as process:
        assert eventually(lambda: read(job_id)["status"] == "in_progress", seconds=20)
        process.send_signal(signal.SIGSTOP)
        eventually(lambda: False, seconds=1.7)
        process.send_signal(signal.SIGCONT)
        assert eventually(is_final(read, job_id))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert blocked(tmp_path) == []
    [line] = [line for line in log_of(tmp_path) if line["message"] == "process stood still"]
    assert (line["level"], line["seconds"] > 1.5) == ("WARNING", True)


def blocked(folder: Path) -> list[dict[str, str]]:
    return [line for line in log_of(folder) if line["message"] == "event loop blocked"]
