"""The worker's image, built by what builds images here, and containers of it.

docker and podman run it. Where only buildah works, as inside another container, its base is made of Debian's packages,
and it is run by the kernel's own means: namespaces, a read-only root, a user without capabilities.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.box import debian_root
from tests.contract.repository import ROOT
from tests.integration.processes import clean_environment
from tests.patience import eventually
from tools.publish.image import ENGINES

NAME = "localhost/lambda-router-worker-of-the-tests"
STAND_IN = "localhost/python-of-the-tests"

#: What python:3.13-slim-trixie has: Python, pip as a package of its own, and nothing that forbids its use.
_PACKAGES = ("ca-certificates", "passwd", "python3", "python3-pip-whl", "python3-venv")
_WHEELS = "/usr/share/python-wheels"
_PIP = f"python3 $(echo {_WHEELS}/pip-*.whl)/pip install --quiet --no-index -f {_WHEELS}"
_HOOKS = (
    f"chroot \"$1\" sh -c '{_PIP} --break-system-packages --root-user-action=ignore pip'",
    'rm "$1"/usr/lib/python3.*/EXTERNALLY-MANAGED',
)


class Container:
    """The worker in a container. ``shown`` is the process here that stands for it."""

    def __init__(self, shown: "subprocess.Popen[bytes]", by_hand: bool, log: Path) -> None:
        self._shown = shown
        self._log = log
        # docker and podman pass signals on, unshare does not.
        self._pid = _only_child(shown.pid) if by_hand else shown.pid

    def signal(self, signum: int) -> None:
        os.kill(self._pid, signum)

    def ended(self, seconds: float) -> int | None:
        """The exit status, or None where it is still there after that time."""
        try:
            return self._shown.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def wrote(self) -> str:
        return self._log.read_text()


@dataclass
class Image:
    """An image that was built.

    Attributes:
        config: its configuration, with ``User``, ``Entrypoint``, ``Env``, ``Labels``.
        folder: for what a container needs while it runs.
        root: the image's files, where no engine runs it.
    """

    engine: str
    config: dict[str, Any]
    folder: Path
    root: Path | None = None

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in place of the worker until it has ended."""
        words = self._command(command, {}, {})
        return subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)

    @contextmanager
    def worker(self, variables: Mapping[str, str], mounts: Mapping[Path, str]) -> Iterator[Container]:
        """Start the worker with those variables, and those folders at those places in the container."""
        log = self.folder / "log"
        with log.open("wb") as sink:
            words = self._command(self.config["Entrypoint"], variables, mounts)
            shown = subprocess.Popen(words, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL)
            container = Container(shown, self.root is not None, log)
            try:
                yield container
            finally:
                if shown.poll() is None:
                    container.signal(signal.SIGTERM if self.root is None else signal.SIGKILL)
                shown.wait(30)

    def _command(self, words: Sequence[str], variables: Mapping[str, str], mounts: Mapping[Path, str]) -> list[str]:
        if self.root is not None:
            return self._by_hand(self.root, words, variables, mounts)
        options = ["--rm", "--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"]
        options += ["--security-opt=no-new-privileges", f"--entrypoint={words[0]}"]
        options += [f"--env={name}={value}" for name, value in variables.items()]
        options += [f"--volume={source}:{target}:ro" for source, target in mounts.items()]
        return [self.engine, "run", *options, NAME, *words[1:]]

    def _by_hand(
        self, root: Path, words: Sequence[str], variables: Mapping[str, str], mounts: Mapping[Path, str]
    ) -> list[str]:
        """What a runtime would do. The command ends up as process 1 of a namespace."""
        inside = self.folder / "root"
        inside.mkdir(exist_ok=True)
        steps = ["mount --make-rprivate /", f"mount --bind {root} {inside}", f"mount -o remount,bind,ro {inside}"]
        steps += [f"mount -t proc proc {inside}/proc"]
        steps += [f"mount -t tmpfs -o mode={mode} tmpfs {inside}/{to}" for to, mode in _TEMPORARY.items()]
        for device in ("null", "zero", "urandom"):
            steps += [f"touch {inside}/dev/{device}", f"mount --bind /dev/{device} {inside}/dev/{device}"]
        for source, target in mounts.items():
            place = f"{inside}{target}"
            steps += [f"mkdir -p {place}", f"mount --bind {source} {place}", f"mount -o remount,bind,ro {place}"]
        user, _, group = self.config["User"].partition(":")
        without = f"--reuid={user} --regid={group} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all"
        script = " && ".join([*steps, f'exec chroot {inside} setpriv {without} "$@"'])
        given = [*self.config["Env"], *(f"{name}={value}" for name, value in variables.items())]
        started = ["/usr/bin/env", "-i", f"--chdir={self.config['WorkingDir']}", *given, *words]
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script, "sh", *started]


_TEMPORARY = {"dev": "755", "run": "755", "tmp": "1777"}


def _only_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = eventually(lambda: children.read_text().split())
    assert found, "unshare started nothing"
    return int(found[0])


def engine() -> str:
    """The first program that works here; skips the test where none does."""
    troubles = {each.name: each.trouble() for each in ENGINES}
    working = [name for name, trouble in troubles.items() if not trouble]
    if not working:
        pytest.skip(f"nothing here builds images: {troubles}")
    if working[0] == "buildah" and os.geteuid() != 0:
        pytest.skip(f"buildah alone, whose images only root can run by hand: {troubles}")
    return working[0]


@contextmanager
def built(folder: Path) -> Iterator[Image]:
    """Build the image with ``make image``, on the real base if an engine can fetch it."""
    name = engine()
    if name != "buildah":
        _make(name)
        yield Image(name, _inspected(name, "image", "inspect", NAME)[0]["Config"], folder)
        return
    settings = _settings(folder)
    base = debian_root.archive("python", _PACKAGES, _HOOKS)
    scratch = _buildah(settings, "from", "scratch")
    _buildah(settings, "add", "--quiet", scratch, str(base), "/")
    _buildah(settings, "commit", "--quiet", "--rm", scratch, STAND_IN)
    _make(name, f"BASE={STAND_IN}", **settings)
    config = json.loads(_buildah(settings, "inspect", "--type", "image", NAME))["OCIv1"]["config"]
    container = _buildah(settings, "from", "--pull-never", NAME)
    try:
        yield Image(name, config, folder, Path(_buildah(settings, "mount", container)))
    finally:
        _buildah(settings, "umount", container)
        shutil.rmtree(folder / "storage", ignore_errors=True)


def _settings(folder: Path) -> dict[str, str]:
    """Variables for buildah inside a container: a storage of its own, chroot, and limits that it may set."""
    storage, limits = folder / "storage.conf", folder / "containers.conf"
    storage.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/storage/graph"\nrunroot = "{folder}/storage/run"\n'
    )
    limits.write_text('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')
    named = {"CONTAINERS_STORAGE_CONF": storage, "CONTAINERS_CONF": limits}
    return {name: str(path) for name, path in named.items()} | {"BUILDAH_ISOLATION": "chroot"}


def _make(engine: str, *words: str, **variables: str) -> None:
    command = ["make", "--no-print-directory", "image", f"ENGINE={engine}", f"TAG={NAME}", *words]
    ran = subprocess.run(
        command, cwd=ROOT, env=clean_environment(**variables), check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]


def _buildah(settings: Mapping[str, str], *words: str) -> str:
    ran = subprocess.run(
        ["buildah", *words], env=clean_environment(**settings), check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, f"buildah {words}: {ran.stderr[-1000:]}"
    return ran.stdout.strip()


def _inspected(*command: str) -> Any:
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
