"""``lambda-router-worker --backend`` as a process, beside a model server of the test's own."""

import re
import resource
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Router
from tests.integration.conftest import ReadJob, Submit
from tests.integration.worker.worker_program import log_of, worker_process
from tests.integration.worker.worker_side import is_final
from tests.log_secrets import remember_secret
from tests.model_servers import Call, ModelServer, Script, chunk, event, listing, model_server
from tests.patience import eventually

KEY = "sk-of-a-test-that-no-log-may-hold"


@contextmanager
def working(
    folder: Path, redis_url: str, backend: str, *arguments: str, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    options = ("--backend", backend, "--model", "tinyllama", *arguments)
    with worker_process(folder, redis_url, *options, variables=variables) as process:
        yield process


def serving(completions: Script) -> Script:
    """A server that lists the model, answers what the worker itself asks, and does that with a job."""

    def script(call: Call) -> None:
        if call.method == "POST" and call.prompt != "ping":
            completions(call)
        else:
            listing("tinyllama")(call)

    return script


# Connections


@contextmanager
def few_open_files() -> Iterator[None]:
    """A limit below 160 for what is started within the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_160_jobs_are_at_the_server_at_once(tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob):
    job_ids = [submit(f"prompt {number}") for number in range(160)]
    everybody, lock, waiting = threading.Event(), threading.Lock(), []

    def script(call: Call) -> None:
        with lock:
            waiting.append(call.prompt)
            if len(waiting) == 160:
                everybody.set()
        if everybody.wait(20):
            call.stream()

    with ExitStack() as stack:
        server = stack.enter_context(model_server(serving(script)))
        with few_open_files():
            stack.enter_context(working(tmp_path, redis_url, server.base_url, "--concurrency", "160"))
        assert eventually(everybody.is_set, seconds=20), f"{len(waiting)} were at the server"
        assert eventually(is_final(read, *job_ids), seconds=20)
    assert {read(job_id)["status"] for job_id in job_ids} == {"completed"}
    assert len(waiting) == 160


# Streams that end before their time


class Endless:
    """A server that goes on until its client hangs up, and writes down when that was."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.hung_up_at = 0.0

    def __call__(self, call: Call) -> None:
        call.begin_stream()
        self.begun.set()
        call.socket.settimeout(0.05)
        while True:
            call.piece(event(chunk("on and ")))
            try:
                call.socket.recv(1)
            except TimeoutError:
                continue
            except OSError:
                pass
            self.hung_up_at = time.monotonic()
            return


def test_a_cancelled_job_stops_computing_within_2_s(tmp_path: Path, redis_url: str, submit: Submit, router: Router):
    job_id, endless = submit("tell me"), Endless()
    with model_server(serving(endless)) as server, working(tmp_path, redis_url, server.base_url):
        assert endless.begun.wait(20)
        time.sleep(0.3)
        cancelled_at = time.monotonic()
        assert router.delete(f"/v1/jobs/{job_id}").status == 200
        assert eventually(lambda: endless.hung_up_at, seconds=5)
    assert endless.hung_up_at - cancelled_at < 2


def test_a_job_whose_time_is_over_stops_computing(tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob):
    job_id, endless = submit("tell me", type="quick"), Endless()
    with model_server(serving(endless)) as server, working(tmp_path, redis_url, server.base_url):
        assert endless.begun.wait(20)
        begun_at = time.monotonic()
        assert eventually(lambda: endless.hung_up_at, seconds=5)
        assert endless.hung_up_at - begun_at < 2
        assert eventually(is_final(read, job_id))
    assert read(job_id)["error"]["code"] == "timeout"


# Answers that would fill the memory


@cache
def gigabyte(text: bytes) -> bytes:
    """1 GB of that text, in about a thousandth of it."""
    compressor = zlib.compressobj(1, wbits=31)
    block = text * (1_000_000 // len(text))
    return b"".join([*(compressor.compress(block) for _ in range(1_000)), compressor.flush()])


def peak_memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


BOMBS = {"one document": b'{"a": ' + b"0" * 994, "one event": b"data: 00000000000"}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells how much memory a process had")
def test_a_gigabyte_of_gzip_costs_the_worker_less_than_200_mb(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob, text: bytes
):
    bomb = gigabyte(text)

    def script(call: Call) -> None:
        call.answer(200, bomb, Content_Encoding="gzip")

    job_ids = [submit("a"), submit("b")]
    with (
        model_server(serving(script)) as server,
        working(tmp_path, redis_url, server.base_url, "--concurrency", "2") as process,
    ):
        assert eventually(is_final(read, *job_ids), seconds=40)
        peak = peak_memory_mb(process.pid)
    assert {read(job_id)["error"]["code"] for job_id in job_ids} == {"result_too_large"}
    assert peak < 200


# Proxies


def proxy_variables(server: ModelServer, scheme: str = "http") -> dict[str, str]:
    """The variables of a proxy, without exceptions for the loopback."""
    url = f"{scheme}://127.0.0.1:{server.port}"
    names = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    return dict.fromkeys(names, url) | dict.fromkeys(("NO_PROXY", "no_proxy"), "")


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_proxies_of_the_environment_are_not_obeyed(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob, scheme: str
):
    job_id = submit("hi")
    with model_server() as proxy, model_server(listing("tinyllama")) as server:
        with working(tmp_path, redis_url, server.base_url, **proxy_variables(proxy, scheme)):
            assert eventually(is_final(read, job_id), seconds=20)
        assert proxy.connections == 0
    assert read(job_id)["status"] == "completed"


@pytest.mark.parametrize(
    "way", [("--obey-proxies", {}), ("", {"WORKER_OBEY_PROXIES": "1"})], ids=["option", "variable"]
)
def test_proxies_are_obeyed_when_asked_to(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob, way: tuple[str, dict[str, str]]
):
    job_id = submit("hi")
    option, variables = way
    with model_server(listing("tinyllama")) as proxy:
        variables |= proxy_variables(proxy)
        with working(tmp_path, redis_url, "http://gpu.example/v1", *filter(None, [option]), **variables):
            assert eventually(is_final(read, job_id), seconds=20)
        assert {call.path for call in proxy.completions} == {"http://gpu.example/v1/chat/completions"}
    assert read(job_id)["status"] == "completed"


@pytest.mark.parametrize("proxy", ["socks5://user:hunter2@127.0.0.1:9", "gopher://user:hunter2@127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_one_sentence(tmp_path: Path, redis_url: str, proxy: str):
    variables = {"ALL_PROXY": proxy, "NO_PROXY": "", "no_proxy": ""}
    with working(tmp_path, redis_url, "http://gpu.example/v1", "--obey-proxies", **variables) as process:
        assert process.wait(timeout=20) == 2
    text = (tmp_path / "log").read_text()
    assert "--obey-proxies" in text
    assert "Traceback" not in text
    assert "hunter2" not in text


# Keys


def with_key(folder: Path, way: str) -> tuple[list[str], dict[str, str]]:
    """Arguments and variables that give the key in that way."""
    if way == "variable":
        return [], {"BACKEND_API_KEY": KEY}
    file = folder / "key"
    file.write_text(f"{KEY}\n")
    return ["--api-key-file", str(file)], {}


@pytest.mark.parametrize("way", ["variable", "file"])
def test_the_key_reaches_the_server_and_nothing_else(
    tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob, way: str
):
    remember_secret(KEY)

    def script(call: Call) -> None:
        authorized = call.headers.get("authorization") == f"Bearer {KEY}"
        if call.prompt == "bad":
            call.answer(400, {"error": {"message": f"your key is {KEY}"}})
        elif authorized:
            call.stream()
        else:
            call.answer(401, {"error": {"message": "no key"}})

    job_ids = [submit("good"), submit("bad")]
    arguments, variables = with_key(tmp_path, way)
    with (
        model_server(serving(script)) as server,
        working(tmp_path, redis_url, server.base_url, *arguments, **variables) as process,
    ):
        assert eventually(is_final(read, *job_ids), seconds=20)
        assert KEY not in Path(f"/proc/{process.pid}/cmdline").read_text()
    assert [read(job_id)["status"] for job_id in job_ids] == ["completed", "failed"]
    assert KEY not in str([read(job_id) for job_id in job_ids])
    assert KEY not in (tmp_path / "log").read_text()
    assert log_of(tmp_path)


# What callers read


def test_the_caller_reads_why_the_server_refused(tmp_path: Path, redis_url: str, submit: Submit, read: ReadJob):
    words: dict[str, Any] = {"error": {"message": "max_tokens must be 1\nor more", "code": "bad_max_tokens"}}
    job_id = submit("hi")
    with (
        model_server(serving(lambda call: call.answer(422, words))) as server,
        working(tmp_path, redis_url, server.base_url),
    ):
        assert eventually(is_final(read, job_id), seconds=20)
    error = read(job_id)["error"]
    assert error["code"] == "backend_rejected"
    assert "max_tokens must be 1 or more (bad_max_tokens)" in error["message"]
