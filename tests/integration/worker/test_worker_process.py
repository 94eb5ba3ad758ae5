"""``lambda-router-worker`` as a process: signals, health probe, exit codes."""

import json
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.emf import assert_well_formed
from tests.integration.conftest import ReadJob, Submit
from tests.integration.in_redis import KEYS, QUEUE, dead_letters
from tests.integration.worker import worker_program
from tests.integration.worker.worker_program import log_of
from tests.integration.worker.worker_side import is_final
from tests.patience import eventually
from tests.servers import free_port

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


def worker_process(folder: Path, redis_url: str, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """``lambda-router-worker`` with the handlers above, in that folder."""
    return worker_program.worker_process(folder, redis_url, *arguments, handlers=HANDLERS)


def metrics_of(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return [line for line in lines if "_aws" in line]


def ask(port: int, path: str = "/health") -> tuple[int, dict[str, Any]]:
    """Status and body of that probe; (0, {}) while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, {}


def test_a_worker_process_works_and_answers_its_health_probe(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob
):
    job_id, port = submit("hi"), free_port()
    options = ("--handler", "my_handlers:answer", "--health-port", str(port), "--concurrency", "3")
    with worker_process(tmp_path, redis_url, *options) as process:
        assert eventually(lambda: ask(port)[0] == 200, seconds=20)
        assert ask(port)[1]["status"] == "ok"
        assert eventually(is_final(read, job_id))
        assert eventually(lambda: ask(port)[1] == {"status": "ok", "running": 0})
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    assert read(job_id)["result"] == {"said": "hi"}
    started, *_ = log_of(tmp_path)
    assert (started["message"], started["concurrency"]) == ("started", 3)


@pytest.mark.parametrize("way", ["option", "variable"])
def test_the_url_may_be_in_a_file(tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob, way: str):
    job_id, file = submit("hi"), tmp_path / "url"
    file.write_text(f"{redis_url}\n")
    options = ["--redis-url-file", str(file)] if way == "option" else []
    variables = {} if options else {"WORKER_REDIS_URL_FILE": str(file)}
    arguments = ("--handler", "my_handlers:answer", *options)
    with worker_program.worker_process(tmp_path, "", *arguments, handlers=HANDLERS, variables=variables) as process:
        assert eventually(is_final(read, job_id), seconds=20)
        assert redis_url not in Path(f"/proc/{process.pid}/cmdline").read_text()
    assert read(job_id)["result"] == {"said": "hi"}
    assert redis_url not in (tmp_path / "log").read_text()


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
    redis_url = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    with worker_process(tmp_path, redis_url, "--handler", "my_handlers:answer") as process:
        assert eventually(lambda: (tmp_path / "log").read_text().count('"redis"') == 1, seconds=20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert "hunter2" not in (tmp_path / "log").read_text()


def test_a_process_with_bad_options_exits_with_2(tmp_path: Path):
    with worker_process(tmp_path, "redis://:hunter2@", "--handler", "my_handlers:answer") as process:
        assert process.wait(timeout=20) == 2
    text = (tmp_path / "log").read_text()
    assert text.startswith("Usage: lambda-router-worker [OPTIONS]")
    assert "hunter2" not in text


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "http://[::1"])
def test_a_backend_that_is_no_url_is_refused(tmp_path: Path, redis_url: str, url: str):
    """Otherwise every job of the queue would fail, one after the other."""
    with worker_process(tmp_path, redis_url, "--backend", url, "--model", "m") as process:
        eventually(lambda: process.poll() is not None or '"started"' in (tmp_path / "log").read_text(), seconds=20)
        assert process.poll() == 2
    assert "--backend" in (tmp_path / "log").read_text()


def test_a_port_that_is_taken_is_told(tmp_path: Path, redis_url: str):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        options = ("--handler", "my_handlers:answer", "--health-port", port)
        with worker_process(tmp_path, redis_url, *options) as process:
            assert process.wait(timeout=20) == 1
    [line] = (tmp_path / "log").read_text().splitlines()
    assert "--health-port" in line
    assert port in line


def test_a_worker_writes_the_figures_that_alarms_watch(tmp_path: Path, redis_url: str, submit: Submit, db: redis.Redis):
    """terraform/alarms.tf wants just these dimensions."""
    db.xadd(KEYS.dead, {"id": "too old"}, id="1700000000000-0")
    db.xadd(KEYS.dead, {"id": "a"})
    submit()
    options = ("--handler", "my_handlers:held", "--stack", "lambda-router-prod")
    with worker_process(tmp_path, redis_url, *options):
        assert eventually(lambda: metrics_of(tmp_path) and len(dead_letters(db)) == 1, seconds=20)
    [line] = metrics_of(tmp_path)
    assert_well_formed(line)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "LambdaRouter"
    assert [set(names) for names in directive["Dimensions"]] == [{"service", "stack", "queue"}]
    assert (line["service"], line["stack"], line["queue"]) == ("lambda-router", "lambda-router-prod", QUEUE)
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert units == {
        "DeadLetters": "Count", "JobsWaiting": "Count", "OldestWaiting": "Seconds", "WorkersAlive": "Count"
    }  # fmt: skip
    assert line["DeadLetters"] in {1, 2}  # the old one is thrown away at about the same moment
    assert [letter["id"] for letter in dead_letters(db)] == ["a"]
