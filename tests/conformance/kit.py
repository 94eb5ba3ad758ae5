"""What a conformance test has in its hands: a queue of its own, jobs put in as the router does, worker processes."""

import json
import os
import shlex
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from chalicelib.jobs.admission import Caller, NewJob, Submission
from chalicelib.jobs.job_queue import JobQueue
from chalicelib.jobs.job_types import JobType, generate_input
from chalicelib.jobs.redis_client import RedisClient, connect
from lambda_router_queue.encryption.sealing import Sealer
from lambda_router_queue.models import Job, RetryPolicy
from lambda_router_queue.queue_keys import GROUP, QueueKeys
from tests.conformance.model_server import ScriptedModel
from tests.job_ids import any_job_id
from tests.patience import eventually
from tests.wide import WIDE

ROOT = Path(__file__).parents[2]

#: Our worker, and the one of plain commands. A command must work one job at a time.
PYTHON = shlex.quote(sys.executable)
OURS = (
    f"{PYTHON} -m lambda_router_worker --backend $BACKEND --model $MODEL --queue $QUEUE --lease-seconds $LEASE_SECONDS"
)
PLAIN = f"{PYTHON} tests/conformance/plain_worker.py"

LEASE_SECONDS = 3
#: Sweeps are at most half a lease apart; the rest is for a busy machine.
TAKEN_OVER_WITHIN = LEASE_SECONDS * 1.5 + 1.5

QUICKLY = RetryPolicy(attempts=3, first_delay_ms=100, longest_delay_ms=300)


class WorkerProcess:
    """A worker command at work, in a process group of its own so that signals reach all of it."""

    def __init__(self, command: str, environ: dict[str, str], log: Path) -> None:
        with log.open("ab") as sink:
            # The trap keeps the shell, where there still is one, alive until the worker has ended on SIGTERM.
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", f"trap : TERM\n{command}"],
                env={**os.environ, **environ},  # noqa: TID251 (the command sees what the test run sees)
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, signum: signal.Signals) -> None:
        os.killpg(self.process.pid, signum)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.alive:
            self.signal(signal.SIGKILL)
        self.process.wait()

    def ended(self, seconds: float) -> int | None:
        """Its exit status, or None when it is still there after that time."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


def _changed_by(change: Callable[[str], str]) -> type[Submission]:
    """Submissions that put in envelopes which this router would not write."""

    class Changed(Submission):
        def envelope(self, job: NewJob, sealer: Sealer | None = None) -> str:
            return change(super().envelope(job, sealer))

    return Changed


@dataclass
class Bench:
    """One queue with everything around it. Prompts are told apart by the queue's name.

    Attributes:
        backend: base URL of another model server than the scripted one.
    """

    url: str
    model: ScriptedModel
    command: str
    log: Path
    queue: str = field(default_factory=lambda: f"conformance-{uuid.uuid4().hex[:8]}")
    processes: list[WorkerProcess] = field(default_factory=list)
    backend: str = ""

    def __post_init__(self) -> None:
        self.keys = QueueKeys(self.queue)
        self.db: redis.Redis = redis.Redis.from_url(self.url, decode_responses=True, protocol=2)
        self._client = RedisClient(lambda: connect(self.url))
        self.router = JobQueue(self._client, WIDE, [self.queue])

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        self.db.close()
        self._client.close()

    # Workers

    def worker(self, lease_seconds: int = LEASE_SECONDS) -> WorkerProcess:
        """Start one more worker, and wait until it has said that it lives."""
        known = self.living()
        environ = {
            "REDIS_URL": self.url,
            "QUEUE": self.queue,
            "BACKEND": self.backend or self.model.base_url,
            "MODEL": "conformance",
            "LEASE_SECONDS": str(lease_seconds),
        }
        process = WorkerProcess(self.command, environ, self.log)
        self.processes.append(process)
        assert eventually(lambda: self.living() - known or not process.alive), self.said("no beat within 10 s")
        assert process.alive, self.said("the worker ended by itself")
        return process

    def stop(self, worker: WorkerProcess, seconds: float = 10) -> None:
        """Ask a worker to end, and expect it to do so properly."""
        worker.signal(signal.SIGTERM)
        status = worker.ended(seconds)
        assert status == 0, self.said(f"exit status {status} after SIGTERM (None: still there after {seconds} s)")

    def living(self) -> set[str]:
        """The members of the set of living workers."""
        return set(self.db.zrange(self.keys.workers, 0, -1))

    @property
    def deserted(self) -> bool:
        """Whether there were workers and none is left: no use in waiting."""
        return bool(self.processes) and not any(process.alive for process in self.processes)

    def said(self, trouble: str) -> str:
        return f"{trouble}; the worker wrote:\n{self.log.read_text()[-4000:]}"

    # Jobs

    def prompt(self, words: str) -> str:
        """A prompt that nobody else uses."""
        return f"{words} {self.queue}-{uuid.uuid4().hex[:8]}"

    def submit(
        self, prompt: str, owner: str = "alice", change: Callable[[str], str] | None = None, **wishes: Any
    ) -> str:
        """Put a job in, as the router does; its id."""
        return self.submit_all([prompt], owner, change, **wishes)[0]

    def submit_all(
        self, prompts: list[str], owner: str = "alice", change: Callable[[str], str] | None = None, **wishes: Any
    ) -> list[str]:
        """Put jobs in by one request. ``wishes``: the request's members (a list: one each), ``retry``, ``timeout``."""
        retry, timeout = wishes.pop("retry", QUICKLY), wishes.pop("timeout", 60)
        jobs = [
            _new_job(prompt, retry, timeout, {name: _nth(value, place) for name, value in wishes.items()})
            for place, prompt in enumerate(prompts)
        ]
        parts = (jobs, self.keys, Caller(owner, str(uuid.uuid4()), f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"))
        kind = _changed_by(change) if change else Submission
        admission = self.router.submit(kind(*parts))
        assert {decision.verdict for decision in admission.decisions} == {"accepted"}
        return [job.job_id for job in jobs]

    def look(self, job_id: str, owner: str = "alice") -> Job:
        """The job as its caller sees it."""
        job = self.router.look(owner, job_id)
        assert job is not None
        return job

    def record(self, job_id: str) -> dict[str, str]:
        """The job's record as it stands, not brought up to date by looking."""
        return self.db.hgetall(self.keys.job(job_id))

    def final(self, job_id: str, seconds: float = 10, owner: str = "alice") -> Job:
        """The job, once its record says that it is final."""
        final = {"completed", "failed", "cancelled", "expired"}
        eventually(lambda: self.record(job_id).get("status") in final or self.deserted, seconds)
        assert self.record(job_id).get("status") in final, self.said(
            f"not final within {seconds} s: {self.record(job_id)}"
        )
        return self.look(job_id, owner)

    def reached(self, prompt: str, times: int = 1, seconds: float = 10) -> float:
        """When (``time.monotonic``) the prompt reached the model for the n-th time; waits for it."""
        eventually(lambda: len(self.model.times(prompt)) >= times or self.deserted, seconds)
        assert len(self.model.times(prompt)) >= times, self.said(
            f"the model was asked {len(self.model.times(prompt))} times within {seconds} s, not {times}"
        )
        return self.model.times(prompt)[times - 1]

    def output(self, job_id: str) -> list[tuple[str, dict[str, str]]]:
        """The entries of the job's live output."""
        return self.db.xrange(self.keys.events(job_id))

    # A look behind

    def dead_letters(self) -> list[dict[str, str]]:
        return [fields for _, fields in self.db.xrange(self.keys.dead)]

    def dead_letter(self, job_id: str) -> dict[str, str]:
        """The one dead letter of that job."""
        (letter,) = [letter for letter in self.dead_letters() if letter["id"] == job_id]
        return letter

    def left_behind(self) -> dict[str, Any]:
        """Whatever jobs that are done with may not leave behind."""
        traces: dict[str, Any] = {stream: self.db.xlen(stream) for stream in self.keys.streams}
        for stream in self.keys.streams:
            traces[f"{stream} pending"] = self.db.xpending(stream, GROUP)["pending"]
        traces["scheduled"] = self.db.zcard(self.keys.scheduled)
        traces["retrying"] = self.db.hlen(self.keys.retrying)
        traces["open jobs"] = list(self.db.scan_iter(self.keys.open_jobs("*")))
        return {name: trace for name, trace in traces.items() if trace}

    def now_ms(self) -> int:
        """The server's clock."""
        seconds, microseconds = self.db.time()
        return int(seconds * 1000 + microseconds // 1000)


type NewBench = Callable[[], AbstractContextManager[Bench]]


def edit(**members: Any) -> Callable[[str], str]:
    """A change that sets members of the envelope."""
    return lambda envelope: json.dumps(json.loads(envelope) | members)


def _new_job(prompt: str, retry: RetryPolicy, timeout: int, wishes: dict[str, Any]) -> NewJob:
    job_type = JobType("generate", generate_input, timeout_seconds=timeout, retry=retry)
    # model_construct: tests ask for shorter times than callers may.
    request = job_type.request_model.model_construct(
        type="generate", input=job_type.input_type(prompt=prompt), **wishes
    )
    return NewJob(any_job_id(), request, job_type)


def _nth(value: Any, place: int) -> Any:
    return value[place] if isinstance(value, list) else value
