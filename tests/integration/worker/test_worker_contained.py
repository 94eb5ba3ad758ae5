"""Whatever leaves a handler costs its own job an attempt, and nobody else anything: neither neighbours nor process."""

import signal
import subprocess
from pathlib import Path

import pytest
import redis

from tests.integration.conftest import ReadJob, Submit
from tests.integration.in_redis import dead_letters, every_text
from tests.integration.worker.worker_program import log_of, worker_process
from tests.integration.worker.worker_side import is_final
from tests.patience import eventually

HANDLERS = """
import asyncio, pathlib, sys, threading, time
from lambda_router_worker.outcomes import JobFailed, TryAgain

SECRET = "secret of " + "the house"

class PanicException(BaseException):
    '''As pyo3 raises it when Rust panics.'''

class Wordless(BaseException):
    def __str__(self):
        raise SystemExit(SECRET)
    __repr__ = __str__

class Hollow(TryAgain):
    def __init__(self):
        pass

class Trap(JobFailed):
    @property
    def message(self):
        sys.exit(SECRET)
    @message.setter
    def message(self, value):
        pass

def deep(n=0):
    return deep(n + 1)

def spoilt():
    error = JobFailed("odd", "odd")
    error.code = error.message = object()
    return error

def thrown(error):
    raise error

KINDS = {
    "SystemExit": lambda: sys.exit(SECRET),
    "KeyboardInterrupt": lambda: thrown(KeyboardInterrupt(SECRET)),
    "GeneratorExit": lambda: thrown(GeneratorExit(SECRET)),
    "PanicException": lambda: thrown(PanicException(SECRET)),
    "CancelledError": lambda: thrown(asyncio.CancelledError(SECRET)),
    "StopIteration": lambda: thrown(StopIteration(SECRET)),
    "StopAsyncIteration": lambda: thrown(StopAsyncIteration(SECRET)),
    "RecursionError": deep,
    "MemoryError": lambda: bytearray(1 << 62),
    "BaseExceptionGroup": lambda: thrown(BaseExceptionGroup(SECRET, [SystemExit(SECRET), ValueError(SECRET)])),
    "Wordless": lambda: thrown(Wordless()),
    "Trap": lambda: thrown(Trap("odd", "Odd.")),
    "Hollow": lambda: thrown(Hollow()),
    "JobFailed": lambda: thrown(spoilt()),
    "TimeoutError": lambda: thrown(TimeoutError(SECRET)),
    "BadOutcome": lambda: thrown(TryAgain("busy", "Busy.", after_seconds="20")),
}

async def child():
    await asyncio.sleep(0)
    sys.exit(SECRET)

async def group():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(child())
        await asyncio.sleep(5)

async def gathered():
    await asyncio.gather(child(), asyncio.sleep(5))

async def left_alone():
    asyncio.create_task(child(), name=SECRET)
    asyncio.get_running_loop().call_soon(sys.exit, SECRET)
    asyncio.get_running_loop().call_soon(thrown, ValueError(SECRET))
    await asyncio.sleep(0.1)
    raise LookupError(SECRET)

async def stopped():
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.1)
    raise ArithmeticError(SECRET)

async def cancels_itself():
    asyncio.current_task().cancel(SECRET)
    await asyncio.sleep(5)

ASYNC_KINDS = {
    "CancelledError of itself": cancels_itself,
    "SystemExit in a task group": group,
    "SystemExit in a gathered task": gathered,
    "LookupError": left_alone,
    "ArithmeticError": stopped,
}

async def in_a_coroutine(job):
    pathlib.Path(job.id).touch()
    wanted = "finish" if job.input["prompt"] == "neighbour" else "raise"
    while not pathlib.Path(wanted).exists():
        await asyncio.sleep(0.02)
    if wanted == "finish":
        return "fine"
    if job.input["prompt"] in ASYNC_KINDS:
        await ASYNC_KINDS[job.input["prompt"]]()
    KINDS[job.input["prompt"]]()

def in_a_thread(job):
    pathlib.Path(job.id).touch()
    wanted = "finish" if job.input["prompt"] == "neighbour" else "raise"
    while not pathlib.Path(wanted).exists():
        time.sleep(0.02)
    if wanted == "finish":
        return "fine"
    if job.input["prompt"] == "LookupError":
        thread = threading.Thread(target=lambda: thrown(ValueError(SECRET)))
        thread.start()
        thread.join()
        raise LookupError(SECRET)
    KINDS[job.input["prompt"]]()
"""

KINDS = ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "PanicException", "CancelledError", "StopIteration",
         "StopAsyncIteration", "RecursionError", "MemoryError", "BaseExceptionGroup", "Wordless", "Trap", "Hollow",
         "JobFailed", "TimeoutError", "BadOutcome", "LookupError"]  # fmt: skip
ASYNC_KINDS = [
    "SystemExit in a task group",
    "SystemExit in a gathered task",
    "ArithmeticError",
    "CancelledError of itself",
]


@pytest.mark.parametrize("stopping", [False, True], ids=["at work", "SIGTERM in the midst"])
@pytest.mark.parametrize("handler", ["in_a_coroutine", "in_a_thread"])
def test_whatever_leaves_a_handler_ends_its_own_job_and_nothing_else(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob, db: redis.Redis, handler: str, stopping: bool
):
    kinds = KINDS + (ASYNC_KINDS if handler == "in_a_coroutine" else [])
    jobs = {kind: submit(kind, type="once") for kind in kinds}
    neighbours = [submit("neighbour") for _ in range(2)]
    options = ("--handler", f"my_handlers:{handler}", "--concurrency", str(len(jobs) + 2))
    with worker_process(tmp_path, redis_url, *options, handlers=HANDLERS) as process:
        begun = [*jobs.values(), *neighbours]
        assert eventually(lambda: all((tmp_path / job_id).exists() for job_id in begun), seconds=20)
        if stopping:
            stop(process, tmp_path)
        (tmp_path / "raise").touch()
        assert eventually(is_final(read, *jobs.values()))
        assert process.poll() is None
        assert [read(job_id)["status"] for job_id in neighbours] == ["in_progress", "in_progress"]
        if not stopping:
            stop(process, tmp_path)
        (tmp_path / "finish").touch()
        assert process.wait(timeout=10) == 0
    assert [read(job_id)["result"] for job_id in neighbours] == ["fine", "fine"]
    errors = {kind: read(job_id)["error"]["code"] for kind, job_id in jobs.items()}
    assert errors == dict.fromkeys(kinds, "worker_error")
    assert {letter["id"] for letter in dead_letters(db)} == set(jobs.values())
    lines = {line["job_id"]: line for line in log_of(tmp_path) if line["message"] == "handler"}
    for kind, job_id in jobs.items():
        assert lines[job_id]["level"] == "ERROR"
        assert lines[job_id]["error"].split("[")[0] == kind.split()[0]
        assert "my_handlers.py:" in lines[job_id]["exception"]
    assert "secret of" not in (tmp_path / "log").read_text() + every_text(db)


def stop(process: "subprocess.Popen[str]", folder: Path) -> None:
    process.send_signal(signal.SIGTERM)
    assert eventually(lambda: any(line["message"] == "draining" for line in log_of(folder)))
