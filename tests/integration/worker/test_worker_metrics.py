"""`/metrics` of a worker process and of the exporter: what Prometheus reads there, and what that costs."""

import contextlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from lambda_router_worker.prometheus.families import Family
from tests.conftest import Router
from tests.faults.proxy import CountsCommands, Fault, SwallowReplies, proxy_to
from tests.integration.conftest import ReadJob, Submit
from tests.integration.worker.worker_program import log_of, worker_process
from tests.integration.worker.worker_side import is_final
from tests.patience import eventually
from tests.servers import free_port
from tests.unit.prometheus.page import families_of, samples_of

#: Prometheus gives up after this time, unless told otherwise.
SCRAPE_SECONDS = 10.0
HANDLERS = """
import asyncio
from lambda_router_worker import JobFailed, TryAgain, UnsupportedType

async def answer(job):
    prompt = job.input["prompt"]
    if prompt == "slow":
        await asyncio.sleep(60)
    if prompt == "bad":
        raise JobFailed("too_odd", "No.")
    if prompt == "odd":
        raise UnsupportedType
    if prompt == "busy":
        raise TryAgain("too_busy", "Later.")
    return {"text": prompt, "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
"""


class Page:
    """``/metrics`` at a port of this machine. ``longest`` is the longest that a scrape took, in seconds."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.longest = 0.0

    def text(self) -> str:
        """The page; empty while nobody answers."""
        began = time.monotonic()
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/metrics?x=/ready", timeout=2 * SCRAPE_SECONDS
            ) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""
        finally:
            self.longest = max(self.longest, time.monotonic() - began)

    def samples(self) -> dict[tuple[str, ...], float]:
        return samples_of(self.text())

    def value(self, *key: str) -> float:
        return self.samples().get(key, 0)


def at(job: dict[str, Any], moment: str) -> datetime:
    return datetime.fromisoformat(job[moment])


@contextmanager
def scraped(folder: Path, redis_url: str) -> Iterator[tuple[Page, "subprocess.Popen[str]"]]:
    """A worker with the handler above, once its page is there."""
    page = Page(free_port())
    options = ("--handler", "my_handlers:answer", "--health-port", str(page.port))
    with worker_process(folder, redis_url, *options, handlers=HANDLERS) as process:
        assert eventually(page.text, 20)
        yield page, process


def test_every_job_is_counted_once_by_its_end(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob, router: Router
) -> None:
    types = {"bad": "once", "busy": "thrice"}
    ids = [submit(prompt, type=types.get(prompt, "generate")) for prompt in ("good", "fine", "bad", "odd", "busy")]
    with scraped(tmp_path, redis_url) as (page, _):
        assert eventually(lambda: all(is_final(read, job_id)() for job_id in ids), 20)
        ids.append(submit("slow"))
        assert eventually(lambda: page.value("lambda_router_worker_jobs") == 1, 10)
        assert router.delete(f"/v1/jobs/{ids[-1]}").status == 200
        assert eventually(lambda: page.value("lambda_router_jobs_total", "", "cancelled") == 1, 10)
        assert eventually(lambda: page.value("lambda_router_queue_dead_letters") == 2, 10)
        text = page.text()
    samples = samples_of(text)
    waited = sum((at(read(job_id), "started_at") - at(read(job_id), "created_at")).total_seconds() for job_id in ids)
    jobs = {key[1:]: value for key, value in samples.items() if key[0] == "lambda_router_jobs_total" and value}

    assert jobs == {
        ("", "completed"): 2,
        ("", "cancelled"): 1,
        ("too_odd", "failed"): 1,
        ("unsupported_type", "dead"): 1,
        ("too_busy", "dead"): 1,
    }
    assert samples["lambda_router_retries_total", "too_busy"] == 2
    attempts = "lambda_router_attempt_duration_seconds_count"
    assert {key[1]: value for key, value in samples.items() if key[0] == attempts} == {
        "completed": 2, "failed": 1, "dead": 2, "scheduled": 2, "cancelled": 1,
    }  # fmt: skip
    assert (samples["lambda_router_tokens_total", "input"], samples["lambda_router_tokens_total", "output"]) == (6, 4)
    assert samples["lambda_router_job_wait_seconds_count",] == 8
    # Redis's clock tells both. Its retries, which began at once, add the two further waits of one job.
    assert waited - 0.1 <= samples["lambda_router_job_wait_seconds_sum",] <= waited + 5
    assert samples["lambda_router_queue_dead_letters",] == 2
    # A handler of one's own has no model server.
    found = {family.name for family in families_of(text) if not family.name.startswith("process_")}
    assert found == {family.removesuffix("_total") for family in Family} - {"lambda_router_model_server_up"}


def test_scraping_often_reads_the_queue_seldom(tmp_path: Path, redis_url: str) -> None:
    fault = CountsCommands()
    with proxy_to(redis_url) as proxy:
        proxy.fault = fault
        with scraped(tmp_path, proxy.url) as (page, _):
            page.text()
            fault.commands.clear()
            for _ in range(100):
                page.text()
            commands = dict(fault.commands)

    assert sum(commands.values()) < 50, commands  # its own, and those of one read or two


def test_a_scrape_ends_in_time_while_redis_is_silent(tmp_path: Path, redis_url: str) -> None:
    with proxy_to(redis_url) as proxy, scraped(tmp_path, proxy.url) as (page, _):
        assert eventually(lambda: page.value("lambda_router_redis_up") == 1, 30)
        proxy.fault = SwallowReplies()
        assert eventually(lambda: page.value("lambda_router_redis_up") == 0, 20)
        samples = page.samples()
        proxy.fault = Fault()
        assert eventually(lambda: page.value("lambda_router_redis_up") == 1, 30)

    assert page.longest < SCRAPE_SECONDS
    assert samples["process_cpu_seconds_total",] > 0
    assert ("lambda_router_queue_dead_letters",) not in samples
    assert {line["level"] for line in log_of(tmp_path) if line["message"] == "queue unread"} == {"WARNING"}


def test_scrapers_that_do_not_read_or_never_ask_keep_no_job_waiting(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob
) -> None:
    with scraped(tmp_path, redis_url) as (page, process), contextlib.ExitStack() as ends:
        for number in range(100):
            client = ends.enter_context(socket.create_connection(("127.0.0.1", page.port)))
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n" if number % 2 else b"GET /metr")
        job_id = submit("good")
        assert eventually(is_final(read, job_id))
        assert eventually(lambda: page.value("lambda_router_jobs_total", "", "completed") == 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_an_exporter_tells_of_jobs_while_no_worker_runs(tmp_path: Path, redis_url: str, submit: Submit) -> None:
    page = Page(free_port())
    with worker_process(tmp_path, redis_url, "exporter", "--health-port", str(page.port)) as process:
        assert eventually(lambda: page.value("lambda_router_redis_up") == 1, 20)
        submit("good")
        submit("later", delay_seconds=60)
        assert eventually(lambda: page.value("lambda_router_queue_jobs", "normal", "waiting") == 1, 15)
        assert page.value("lambda_router_queue_scheduled_jobs") == 1
        assert page.value("lambda_router_queue_workers", "claiming") == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert log_of(tmp_path) == []


def test_an_exporter_whose_port_is_taken_says_so(tmp_path: Path, redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with worker_process(tmp_path, redis_url, "exporter", "--health-port", str(port)) as process:
            assert process.wait(timeout=20) == 1
    said = (tmp_path / "log").read_text()
    assert said.startswith(f"Error: cannot listen at 127.0.0.1:{port} (")
