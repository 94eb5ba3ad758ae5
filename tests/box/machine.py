"""A machine with systemd: process 1 of namespaces of its own, on a root filesystem that forgets everything.

It has this machine's network, so it can reach a Valkey on loopback. It needs no hypervisor, no container engine and no
running systemd, but the rights of root.
"""

import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.patience import eventually

_SYSTEMD = "lib/systemd/systemd"
#: Nothing starts but the journal, and what a test starts.
_TARGET = "[Unit]\nDescription=A box\nAllowIsolate=yes\nWants=systemd-journald.service\n"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: What PID 1 of a container finds (https://systemd.io/CONTAINER_INTERFACE/).
_BOOT = """
mount --make-rprivate /
mount -t tmpfs tmpfs {scratch}
mkdir {scratch}/changes {scratch}/work {scratch}/root
mount -t overlay overlay -o lowerdir={lower},upperdir={scratch}/changes,workdir={scratch}/work {scratch}/root
cd {scratch}/root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for each in run tmp dev; do mount -t tmpfs tmpfs $each; done
chmod 1777 tmp
for each in null zero full random urandom tty; do touch dev/$each; mount --bind /dev/$each dev/$each; done
mkdir dev/pts dev/shm run/shared
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
mount --bind {shared} run/shared
printf '{target}' > etc/systemd/system/box.target
rm -f etc/resolv.conf
cat /etc/resolv.conf > etc/resolv.conf
mkdir before
pivot_root . before
umount -l /before
mount --make-rshared /
exec env -i container=test PATH={path} /{systemd} --system --unit=box.target --log-target=console --show-status=no
"""


@dataclass(frozen=True)
class Machine:
    """A booted machine. ``shared`` is a folder of this machine, which is ``/run/shared`` there."""

    pid: int
    shared: Path

    def run(self, *command: str, given: str = "", **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as root."""
        environ = [f"{name}={value}" for name, value in {"PATH": _PATH, "LC_ALL": "C.UTF-8", **variables}.items()]
        return subprocess.run(
            ["nsenter", f"--target={self.pid}", "--all", "env", "-i", *environ, *command],
            input=given,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def paste(self, text: str, given: str = "", **variables: str) -> str:
        """What a shell of root prints into which somebody pastes those lines. Fails where one of them fails."""
        ran = self.run("bash", "-euc", text, given=given, **variables)
        assert ran.returncode == 0, f"{text}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def said(self, unit: str) -> str:
        """What the unit and its processes wrote."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}").stdout


@contextmanager
def booted(lower: Path) -> Iterator[Machine]:
    """Boot a machine from a root filesystem, which stays as it is; skips the test where that is impossible."""
    if os.geteuid() != 0:
        pytest.skip("only root may boot a machine")
    if not (lower / _SYSTEMD).exists():
        pytest.skip(f"no systemd in {lower}")
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as shared, _cgroup() as cgroup:
        log = Path(shared) / "boot.log"
        places = {"scratch": scratch, "lower": lower, "shared": shared, "path": _PATH, "systemd": _SYSTEMD}
        script = _BOOT.format(target=_TARGET.replace("\n", r"\n"), **places)
        # The shell waits until it is in its cgroup, so that all of systemd's are below it.
        enter = ["sh", "-euc", 'echo $$ > "$0"; exec "$@"', cgroup / "cgroup.procs"]
        unshare = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "sh", "-euc", script]
        with log.open("wb") as sink:
            outer = subprocess.Popen([*enter, *unshare], stdout=sink, stderr=sink, stdin=subprocess.DEVNULL)
        try:
            machine = Machine(_process_1(outer, log), Path(shared))
            assert eventually(lambda: machine.run("systemctl", "is-system-running").stdout == "running\n", 30), (
                log.read_text() + machine.run("systemctl", "--failed").stdout
            )
            yield machine
        finally:
            (cgroup / "cgroup.kill").write_text("1")
            outer.wait(30)


def _process_1(outer: "subprocess.Popen[bytes]", log: Path) -> int:
    """The process id of the machine's systemd, once it runs."""
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")

    def found() -> str:
        pids = children.read_text().split() if outer.poll() is None else []
        return pids[0] if pids and Path(f"/proc/{pids[0]}/comm").read_text() == "systemd\n" else ""

    eventually(lambda: found() or outer.poll() is not None, 20)
    pid = found()
    assert pid, log.read_text()
    return int(pid)


@contextmanager
def _cgroup() -> Iterator[Path]:
    """A group of control for all processes of a machine, in whichever hierarchy of version 2 there is."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    places = [Path(place) for _, place, kind, *_ in mounts if kind == "cgroup2"]
    if not places:
        pytest.skip("no cgroup2 is mounted")
    group = places[0] / f"box-{uuid.uuid4().hex[:8]}"
    group.mkdir()
    try:
        yield group
    finally:
        assert eventually(lambda: "populated 0" in (group / "cgroup.events").read_text())
        for each in sorted(group.rglob("*/"), reverse=True):
            each.rmdir()
        group.rmdir()
