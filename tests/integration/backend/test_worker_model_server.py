"""``lambda-router-worker --backend`` as a process whose model server is gone, comes back, or was the wrong one."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.conftest import Submit
from tests.integration.in_redis import KEYS, dead_letters
from tests.integration.processes import clean_environment
from tests.integration.worker.test_worker_process import ask
from tests.model_process import ModelProcess, model_process
from tests.patience import eventually
from tests.servers import free_port

type Start = Callable[..., "Worker"]


class Worker:
    """``lambda-router-worker`` at work; ``port`` answers its probes."""

    def __init__(self, folder: Path, redis_url: str, backend: str, *options: str, **variables: str) -> None:
        self.port = free_port()
        self._log = folder / f"worker-{self.port}.log"
        command = [
            sys.executable,
            "-m",
            "lambda_router_worker",
            "--backend",
            backend,
            "--health-port",
            str(self.port),
            *options,
        ]
        with self._log.open("w") as sink:
            self.process = subprocess.Popen(
                command, cwd=folder, env=clean_environment(REDIS_URL=redis_url, **variables), stdout=sink, stderr=sink
            )

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it has logged, without metrics."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if "message" in line]

    def said(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["message"] == message]

    def asked(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and body of a probe."""
        return ask(self.port, path)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@pytest.fixture
def worker(tmp_path: Path, redis_url: str) -> Iterator[Start]:
    """Starts workers, which are gone afterwards."""
    with ExitStack() as ends:

        def start(backend: str, *options: str, **variables: str) -> Worker:
            one = Worker(tmp_path, redis_url, backend, *options, **variables)
            ends.callback(one.process.wait)
            ends.callback(one.process.kill)
            return one

        yield start


@pytest.fixture
def model() -> Iterator[ModelProcess]:
    with model_process() as server:
        yield server


def statuses(db: redis.Redis, job_ids: list[str]) -> Counter[str]:
    return Counter(str(db.hget(KEYS.job(job_id), "status")) for job_id in job_ids)


def stats_of(redis_url: str) -> dict[str, Any]:
    """What an operator is shown."""
    command = [sys.executable, "-m", "lambda_router_worker", "stats", "--json"]
    ran = subprocess.run(
        command, env=clean_environment(REDIS_URL=redis_url), capture_output=True, text=True, check=True
    )
    figures: dict[str, Any] = json.loads(ran.stdout)
    return figures


def attempts(db: redis.Redis, job_ids: list[str]) -> Counter[str]:
    return Counter(str(db.hget(KEYS.job(job_id), "attempts")) for job_id in job_ids)


@pytest.mark.timeout(180)
def test_a_server_that_is_away_for_20_seconds_costs_no_job_and_no_attempt(
    worker: Start, model: ModelProcess, submit: Submit, db: redis.Redis, tmp_path: Path
):
    """100 jobs wait and 4 are at work when it is killed."""
    go = tmp_path / "go"
    at_work = [submit(f"held {go}") for _ in range(4)]
    one = worker(model.base_url, "--model", "m", "--concurrency", "4")
    assert eventually(lambda: statuses(db, at_work) == {"in_progress": 4}, 30)
    waiting = [submit(f"hello {place}") for place in range(100)]
    time.sleep(0.5)  # so that the four are at the server
    model.kill()
    killed_at = time.monotonic()
    assert eventually(lambda: one.said("gate closed"))
    assert eventually(lambda: statuses(db, at_work + waiting) == {"queued": 104})
    assert one.asked("/ready")[0] == 503
    assert one.asked("/health")[0] == 200
    go.touch()
    time.sleep(max(0, 20 - (time.monotonic() - killed_at)))
    model.start()

    assert eventually(lambda: statuses(db, at_work + waiting) == {"completed": 104}, 60)
    assert attempts(db, at_work + waiting) == {"1": 104}
    assert {db.hget(KEYS.job(job_id), "crashes") for job_id in at_work} == {"1"}
    assert {db.hget(KEYS.job(job_id), "crashes") for job_id in waiting} == {None}
    assert one.said("gate open")
    assert one.asked("/ready")[0] == 200
    assert one.stop() == 0


def test_a_worker_with_a_dead_server_takes_nothing_from_a_healthy_one(
    worker: Start, model: ModelProcess, submit: Submit, db: redis.Redis
):
    with model_process() as doomed:
        broken = worker(doomed.base_url, "--model", "m", "--concurrency", "4")
        assert eventually(lambda: broken.asked("/ready")[0] == 200, 20)
        jobs = [submit(f"slow 0.05 {place}") for place in range(60)]
        assert eventually(lambda: statuses(db, jobs)["completed"] >= 2, 20)
        doomed.kill()
        worker(model.base_url, "--model", "m", "--concurrency", "2")

        assert eventually(lambda: statuses(db, jobs) == {"completed": 60}, 60)
        assert dead_letters(db) == []


WRONG = {
    "nobody listens": (lambda model: (f"http://127.0.0.1:{free_port()}/v1", "--model", "m"), {}),
    "without /v1": (lambda model: (model.base_url.removesuffix("/v1"), "--model", "m"), {}),
    "another model": (lambda model: (model.base_url, "--model", "gpt-oss"), {}),
    "no key": (lambda model: (model.base_url, "--model", "m"), {}),
    "a wrong key": (lambda model: (model.base_url, "--model", "m"), {"BACKEND_API_KEY": "secret-wrong"}),
}


@pytest.mark.parametrize(("options", "variables"), WRONG.values(), ids=WRONG)
def test_a_worker_that_was_started_wrong_fails_no_job_and_says_why_everywhere(
    worker: Start, submit: Submit, db: redis.Redis, redis_url: str, options: Any, variables: dict[str, str]
):
    jobs = [submit(f"hello {place}") for place in range(5)]
    with model_process(key="secret-right") as model:
        one = worker(*options(model), **variables)
        assert eventually(lambda: one.said("gate closed"), 30)
        reason = one.said("gate closed")[0]["reason"]
        assert eventually(lambda: one.asked("/ready")[0] == 503)
        assert one.asked("/ready")[1]["reason"] == reason
        assert one.asked("/health")[0] == 200
        assert eventually(lambda: list(stats_of(redis_url)["closed"].values()) == [reason])
        time.sleep(1)
        assert one.stop() == 0
    assert statuses(db, jobs) == {"queued": 5}
    assert attempts(db, jobs) == {"None": 5}
    assert "secret-" not in json.dumps(one.lines)


def test_a_worker_may_be_started_before_its_server(worker: Start, model: ModelProcess, submit: Submit, db: redis.Redis):
    model.kill()
    job_id = submit("hello")
    one = worker(model.base_url, "--model", "m")
    assert eventually(lambda: one.said("gate closed"), 20)
    model.start()

    assert eventually(lambda: statuses(db, [job_id]) == {"completed": 1}, 20)
    assert attempts(db, [job_id]) == {"1": 1}


def test_a_job_that_kills_the_server_is_a_dead_letter_after_three_times_and_its_neighbours_complete(
    worker: Start, model: ModelProcess, submit: Submit, db: redis.Redis
):
    deadly = submit("die")
    worker(model.base_url, "--model", "m", "--concurrency", "2")
    others = [submit(f"hello {place}") for place in range(10)]

    def supervised() -> bool:
        if not model.alive:
            model.start()
        return statuses(db, [deadly, *others]) == {"failed": 1, "completed": 10}

    assert eventually(supervised, 60)
    [letter] = dead_letters(db)
    assert (letter["id"], letter["code"]) == (deadly, "backend_crashed")


@pytest.mark.timeout(120)
def test_a_job_that_kills_the_server_takes_no_slow_neighbour_with_it(
    worker: Start, model: ModelProcess, submit: Submit, db: redis.Redis
):
    """They are at the server each time when it dies, and come back together."""
    slow = [submit(f"slow 2 {place}") for place in range(3)]
    deadly = submit("die")
    one = worker(model.base_url, "--model", "m", "--concurrency", "4")

    def supervised() -> bool:
        if not model.alive:
            model.start()
        return not statuses(db, [deadly, *slow]).keys() & {"queued", "in_progress"}

    assert eventually(supervised, 90)
    assert statuses(db, slow) == {"completed": 3}
    assert [letter["id"] for letter in dead_letters(db)] == [deadly]
    assert [line["code"] for line in one.said("worked") if line["outcome"] == "dead"] == ["backend_crashed"]
