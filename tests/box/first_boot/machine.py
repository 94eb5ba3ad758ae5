"""An instance without a kernel of its own: Debian with systemd in namespaces, and a loop device as its data volume.

It needs root, since it mounts. All that it mounts is in a namespace of its own, and goes with its first process.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.box.machine import _cgroup
from tests.patience import eventually

#: What Debian's image for EC2 has, as far as the first boot can notice.
IMAGE = (
    "apt",
    "ca-certificates",
    "cloud-init",
    "dbus",
    "e2fsprogs",
    "iproute2",
    "mount",
    "openssh-server",
    "python3",
    "systemd",
    "udev",
)
_SOURCES = (
    "deb http://deb.debian.org/debian trixie main\n"
    "deb http://deb.debian.org/debian trixie-updates main\n"
    "deb http://deb.debian.org/debian-security trixie-security main\n"
)
#: Only what user data is for: network, users and disks are the image's affair.
_CLOUD = """\
datasource_list: [NoCloud]
network: {config: disabled}
cloud_init_modules: [write_files]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts_user]
output: {all: '>> /var/log/cloud-init-output.log'}
"""
#: Nothing starts but these, and what the first boot starts. Nothing restarts or upgrades by the clock meanwhile.
_TARGET = "[Unit]\nDescription=A test\nAllowIsolate=yes\nWants=systemd-journald.service dbus.service ssh.service\n"
_MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "unattended-upgrades.service")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
#: systemd leaves the devices of /etc/fstab alone in a container, so they are mounted before it begins. The kernel's
#: settings are not this machine's to change.
_POWER_ON = """\
set -eu
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$IMAGE,upperdir=$DISK/upper,workdir=$DISK/work" "$ROOT"
cd "$ROOT"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for each in run tmp dev; do mount -t tmpfs tmpfs "$each"; done
chmod 1777 tmp
for each in null zero full random urandom tty; do touch "dev/$each"; mount --bind "/dev/$each" "dev/$each"; done
mkdir -p dev/pts dev/shm dev/disk/by-id
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
mknod dev/nvme1n1 b $NUMBERS
ln -s ../../nvme1n1 "dev/disk/by-id/$DEVICE"
rm -f etc/resolv.conf
cat /etc/resolv.conf >etc/resolv.conf
[ ! -s etc/fstab ] || chroot . mount -a
mkdir -p before
pivot_root . before
umount -l /before
mount --make-rshared /
exec env -i container=test "PATH=$PATH" /lib/systemd/systemd --system --unit=test.target --show-status=no
"""


def skip_unless_possible() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: it mounts a root filesystem and a loop device")
    missing = [name for name in ("unshare", "nsenter", "losetup", "mkswap") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} on PATH")


@contextmanager
def volume(folder: Path, megabytes: int = 256) -> Iterator[str]:
    """A blank block device, as a new volume is one; its path."""
    image = folder / "volume.img"
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    made = subprocess.run(["losetup", "--find", "--show", image], check=False, capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    try:
        yield made.stdout.strip()
    finally:
        subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


@dataclass
class Machine:
    """One instance: its image stays, its disk is its own, the volume outlives it.

    Attributes:
        folder: for its disk.
        image: Debian's root filesystem, unpacked.
        device: the volume's block device here.
        device_name: its name in ``/dev/disk/by-id`` there.
        instance_id: as the metadata service tells it.
        user_data: compressed, as EC2 hands it out.
        environ: the addresses of AWS's stand-ins.
        hosts: names that stand for another address, line by line.
    """

    folder: Path
    image: Path
    device: str
    device_name: str
    instance_id: str
    user_data: bytes
    environ: Mapping[str, str]
    hosts: str
    _running: ExitStack = field(default_factory=ExitStack, init=False)
    _first: int = field(default=0, init=False)

    def install(self) -> None:
        """Prepare the disk as EC2 does: the image, and what is particular to this instance."""
        upper = self.folder / "upper"
        for each in (self.folder / "root", upper, self.folder / "work"):
            each.mkdir(parents=True)
        seed = "var/lib/cloud/seed/nocloud"
        environment = " ".join(f"{name}={value}" for name, value in self.environ.items())
        for name, content in {
            "etc/apt/sources.list": _SOURCES,
            "etc/cloud/cloud.cfg.d/99-instance.cfg": _CLOUD,
            "etc/hosts": f"127.0.0.1 localhost\n{self.hosts}",
            "etc/systemd/system.conf.d/aws.conf": f"[Manager]\nDefaultEnvironment={environment}\n",
            "etc/systemd/system/test.target": _TARGET,
            f"{seed}/meta-data": f"instance-id: {self.instance_id}\n",
        }.items():
            (upper / name).parent.mkdir(parents=True, exist_ok=True)
            (upper / name).write_text(content)
        (upper / seed / "user-data").write_bytes(self.user_data)
        for name in _MASKED:
            (upper / "etc/systemd/system" / name).symlink_to("/dev/null")

    def power_on(self) -> None:
        numbers = Path(self.device).stat().st_rdev
        given = {
            "IMAGE": str(self.image),
            "DISK": str(self.folder),
            "ROOT": str(self.folder / "root"),
            "DEVICE": self.device_name,
            "NUMBERS": f"{os.major(numbers)} {os.minor(numbers)}",
            "PATH": _PATH,
        }
        group = self._running.enter_context(_cgroup())
        # The shell waits until it is in its cgroup, so that all of systemd's are below it.
        enter = ["sh", "-euc", 'echo $$ > "$0"; exec "$@"', group / "cgroup.procs"]
        alone = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "sh", "-euc", _POWER_ON]
        with (self.folder / "console.log").open("ab") as sink:
            outer = subprocess.Popen([*enter, *alone], env=given, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        self._running.callback(outer.wait, 30)
        self._running.callback((group / "cgroup.kill").write_text, "1")
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        assert eventually(lambda: self._found(children), 30), (self.folder / "console.log").read_text()
        running = "systemctl is-system-running"
        assert eventually(lambda: self.run(running).stdout in {"running\n", "degraded\n"}, 30), self.run(running)

    def _found(self, children: Path) -> bool:
        """Whether systemd has taken over, and as which process of this machine."""
        pids = children.read_text().split()
        self._first = int(pids[0]) if pids and Path(f"/proc/{pids[0]}/comm").read_text() == "systemd\n" else 0
        return bool(self._first)

    def power_off(self) -> None:
        """Like pulling the plug: nothing gets to write anything."""
        self._running.close()

    def first_boot(self) -> str:
        """What cloud-init does with the user data; what is written meanwhile."""
        for step in ("init --local", "init", "modules --mode=config", "modules --mode=final"):
            self.run(f"cloud-init {step} >>/var/log/cloud-init-output.log 2>&1", seconds=600)
        return self.text("/var/log/cloud-init-output.log")

    def boot_again(self) -> None:
        """Lose power, and start what is enabled."""
        self.power_off()
        self.power_on()
        self.must("systemctl is-enabled valkey-server.service && systemctl start valkey-server.service")

    def run(self, command: str, seconds: float = 120, **environ: str) -> "subprocess.CompletedProcess[str]":
        """A shell command inside, as root."""
        inside = ["nsenter", f"--target={self._first}", "--all", "sh", "-c", command]
        given = {"PATH": _PATH, "HOME": "/root", "LANG": "C.UTF-8", **self.environ, **environ}
        return subprocess.run(inside, env=given, check=False, capture_output=True, text=True, timeout=seconds)

    def must(self, command: str, seconds: float = 120, **environ: str) -> str:
        ran = self.run(command, seconds, **environ)
        assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def text(self, path: str) -> str:
        return self.must(f"cat {path}")


def unpack(archive: Path, folder: Path) -> Path:
    folder.mkdir()
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", folder, "--numeric-owner"], check=True)
    return folder
