"""The worker's image: what is in it, and that a container of it, set up as in compose.yaml, processes jobs."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib import __version__
from tests import servers
from tests.box import images
from tests.box.compose import WORKER, variables
from tests.box.images import Image
from tests.conformance.kit import Bench
from tests.conformance.model_server import ScriptedModel, serving
from tests.contract.repository import ROOT
from tests.patience import eventually

pytestmark = [pytest.mark.box, pytest.mark.timeout(600)]

#: What is installed for the worker may take this much; Python and Debian are the base's.
MOST_BYTES = 42_000_000
KEY = "a-key-of-the-tests"
UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    with images.built(tmp_path_factory.mktemp("image")) as image:
        yield image


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with serving() as model:
        yield model


@pytest.fixture
def bench(model: ScriptedModel, tmp_path: Path) -> Iterator[Bench]:
    with servers.engine("valkey") as url:
        bench = Bench(url, model, "", tmp_path / "log")
        yield bench
        bench.close()


@pytest.fixture
def secrets(bench: Bench, tmp_path: Path, image: Image) -> Path:
    """The folder of secrets as the page makes it: for the image's user, and for no others."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name, text in {"redis-url": bench.url, "api-key": KEY}.items():
        (folder / name).write_text(text + "\n")
        (folder / name).chmod(0o440 if os.geteuid() == 0 else 0o444)
        if os.geteuid() == 0:
            os.chown(folder / name, int(image.config["User"].partition(":")[0]), 0)
    return folder


def given(bench: Bench, port: int) -> dict[str, str]:
    """The variables of compose.yaml, with this test's queue, model server and port."""
    chosen = {"MODEL": "conformance", "QUEUE": bench.queue, "BACKEND": bench.model.base_url, "CONCURRENCY": "2"}
    return variables(chosen) | {"WORKER_HEALTH_PORT": str(port), "WORKER_LEASE_SECONDS": "3"}


def printed(image: Image, values: str) -> list[Any]:
    """The values of that Python in a container."""
    code = f"import getpass, importlib.util, json, os, pathlib, shutil, sys; print(json.dumps([{values}]))"
    ran = image.run("python3", "-c", code)
    assert ran.returncode == 0, ran.stderr
    facts: list[Any] = json.loads(ran.stdout)
    return facts


# What is in it


def test_its_user_has_a_number_a_name_and_a_home(image: Image) -> None:
    facts = printed(image, "os.getuid(), os.getgid(), getpass.getuser(), str(pathlib.Path.home())")

    assert facts == [65532, 65532, "worker", "/var/lib/worker"]
    assert re.fullmatch(r"\d+:\d+", image.config["User"]), "Kubernetes cannot tell from a name that it is not root"


def test_the_command_is_on_its_path(image: Image) -> None:
    assert image.run("lambda-router-worker", "--version").stdout == f"lambda-router-worker {__version__}\n"
    assert "--redis-url-file" in image.run("lambda-router-worker", "--help").stdout


def test_the_worker_is_process_1_and_gets_the_signals(image: Image) -> None:
    assert image.config["Entrypoint"] == ["lambda-router-worker"]
    assert not image.config.get("Cmd")


def test_its_labels_name_the_version_and_the_commit(image: Image) -> None:
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in image.config["Labels"].items()}

    assert labels["version"] == __version__
    assert labels["licenses"] == "MIT"
    assert re.fullmatch(r"[0-9a-f]{40}", labels["revision"])
    assert re.match(r"\d{4}-\d\d-\d\dT", labels["created"])


def test_nothing_in_it_installs_packages(image: Image) -> None:
    modules = "*(name for name in ('pip', 'ensurepip', 'setuptools') if importlib.util.find_spec(name))"

    assert printed(image, f"{modules}, shutil.which('pip'), shutil.which('uv')") == [None, None]
    for python in image.run("sh", "-c", "ls -d /usr/bin/python3 /usr/local/bin/python3 2>/dev/null").stdout.split():
        assert image.run(python, "-m", "pip", "--version").returncode != 0, python


def test_what_is_installed_for_the_worker_is_small(image: Image) -> None:
    (size,) = printed(image, "sum(file.lstat().st_size for file in pathlib.Path(sys.prefix).rglob('*'))")

    assert size < MOST_BYTES


def test_nothing_in_it_can_be_written_but_what_is_temporary(image: Image) -> None:
    tries = "touch /var/lib/worker/x /usr/local/x /etc/x; cd /tmp && touch x && echo temporary"

    assert image.run("sh", "-c", tries).stdout == "temporary\n"


def test_every_locked_package_has_a_wheel_for_arm64_too(tmp_path: Path) -> None:
    """An image for ARM64 cannot be run here. That it can be built depends on nothing else."""
    lock = ["--require-hashes", "-r", "requirements/worker.txt", "--only-binary", ":all:"]
    target = ["--python-platform", "aarch64-manylinux_2_36", "--python-version", "3.13", "--target", str(tmp_path)]
    ran = subprocess.run(
        [UV, "pip", "install", "--dry-run", *lock, *target], cwd=ROOT, check=False, capture_output=True, text=True
    )

    assert ran.returncode == 0, ran.stderr
    assert "pydantic-core==" in ran.stderr


# What it does


def test_a_container_processes_a_job_and_is_healthy(image: Image, bench: Bench, secrets: Path) -> None:
    port = servers.free_port()
    with image.worker(given(bench, port), {secrets: "/run/secrets"}) as container:
        assert eventually(bench.living, 30), container.wrote()
        prompt = bench.prompt("echo")

        assert bench.final(bench.submit(prompt)).result["text"] == f"{prompt} #1"
        assert image.run(*probe(port)).returncode == 0
        assert KEY not in container.wrote()

    assert image.run(*probe(port)).returncode != 0


def probe(port: int) -> list[str]:
    """The command of compose.yaml's health check, at another port."""
    _, *words = WORKER["healthcheck"]["test"]
    return [word.replace("8081", str(port)) for word in words]


def test_sigterm_lets_a_running_job_finish(image: Image, bench: Bench, secrets: Path) -> None:
    with image.worker(given(bench, servers.free_port()), {secrets: "/run/secrets"}) as container:
        prompt = bench.prompt("hang")
        job_id = bench.submit(prompt)
        bench.reached(prompt, seconds=30)
        container.signal(signal.SIGTERM)
        assert eventually(lambda: '"draining"' in container.wrote(), 20), container.wrote()
        assert container.ended(0) is None
        bench.model.release(prompt)

        assert container.ended(30) == 0, container.wrote()
        assert bench.look(job_id).status == "completed"


def test_a_handler_in_the_home_is_found(image: Image, bench: Bench, secrets: Path, tmp_path: Path) -> None:
    handlers = tmp_path / "handlers"
    handlers.mkdir(mode=0o755)
    (handlers / "mine.py").write_text('def shout(job):\n    return job.input["prompt"].upper()\n')
    with_handler = given(bench, servers.free_port()) | {"WORKER_HANDLER": "mine:shout"}
    del with_handler["WORKER_BACKEND"]
    with image.worker(with_handler, {secrets: "/run/secrets", handlers: image.config["WorkingDir"]}) as container:
        job = bench.final(bench.submit("quietly"), 30)

        assert job.result == "QUIETLY", container.wrote()


def test_a_missing_secret_is_named(image: Image, bench: Bench, tmp_path: Path) -> None:
    with image.worker(given(bench, servers.free_port()), {}) as container:
        assert container.ended(30) == 2
        assert "/run/secrets/redis-url" in container.wrote()
