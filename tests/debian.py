"""Programs of Debian 13, unpacked below ``.local/debian`` without root. Nothing is installed.

``python -m tests.debian`` fetches them, and ``make test-engines`` does so first. Tests only look for them.

apt runs with folders of its own, so it needs no permissions and changes nothing on this machine. It checks the
signature of the archive against Debian's keyring, and each package against the signed lists. All libraries are unpacked
too, and each program is started by its own dynamic loader: the C library of this machine may be older or newer.
"""

import fcntl
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

#: Packages that are unpacked, each with all that it depends on.
PACKAGES = ("redis-server", "valkey-server")

#: Every Debian has it. Ubuntu signs a package with it.
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

_FOLDER = Path(__file__).parents[1] / ".local" / "debian"
_SUITES = (
    ("http://deb.debian.org/debian", "trixie"),
    ("http://deb.debian.org/debian-security", "trixie-security"),
)
_SECONDS = 300

#: Folders that any user may write. apt's sandbox would need root.
_FOLDERS = """\
Dir::State "{folder}/state";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "3";
"""
#: Debian alone, whatever this machine uses.
_SOURCES = """\
Dir::Etc "{folder}/etc";
Dir::Etc::sourcelist "sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "trusted";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Install-Recommends "false";
"""

_STARTER = """\
#!/bin/sh
exec {command} "$@"
"""


class Unavailable(Exception):
    """Debian's programs are not there; the message says why."""


def program(name: str, folder: Path = _FOLDER) -> Path:
    """The command that starts this program, such as ``valkey-server``. Raises Unavailable."""
    starter = folder / "bin" / name
    if not _is_current(folder):
        raise Unavailable("Debian's packages are not unpacked; run: .venv/bin/python -m tests.debian")
    if not starter.is_file():
        raise Unavailable(f"none of Debian's packages {', '.join(PACKAGES)} has a program {name}")
    return starter


def program_or_skip(name: str) -> Path:
    """The same for a test, which is skipped without it."""
    try:
        return program(name)
    except Unavailable as error:
        pytest.skip(str(error))


def versions(folder: Path = _FOLDER) -> dict[str, str]:
    """The version of each unpacked package, as Debian numbers it."""
    return dict(json.loads((folder / "versions.json").read_text())) if _is_current(folder) else {}


def prepare(folder: Path = _FOLDER, keyring: Path = KEYRING) -> None:
    """Fetch and unpack the packages, unless they are there. Other processes may do the same. Raises Unavailable."""
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    with _alone(folder):
        if _is_current(folder):
            return
        if missing:
            raise Unavailable(f"{' and '.join(missing)} not found: Debian's packages need a Debian or an Ubuntu")
        with TemporaryDirectory(dir=folder.parent) as scratch:
            known = keyring if keyring.is_file() else _signed_keyring(Path(scratch) / "own")
            _unpack(_fetched(Path(scratch) / "debian", known), folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # freed when the file is closed, even by a process that dies
        yield


def _is_current(folder: Path) -> bool:
    """Check for ``versions.json``, which is written last, and for the packages that are listed by now."""
    try:
        found = json.loads((folder / "versions.json").read_text())
    except FileNotFoundError:
        return False
    return all(name in found for name in PACKAGES)


def _signed_keyring(scratch: Path) -> Path:
    """Fetch Debian's keyring from the distribution that this machine runs, which has signed it."""
    settings = _configured(scratch, _FOLDERS)
    _run(["apt-get", "--quiet", "update"], settings)
    _run(["apt-get", "--quiet", "--yes", "--download-only", "install", "debian-archive-keyring"], settings)
    for package in (scratch / "cache/archives").glob("debian-archive-keyring_*.deb"):
        _run(["dpkg-deb", "--extract", str(package), str(scratch)])
    return scratch / KEYRING.relative_to("/")


def _fetched(scratch: Path, keyring: Path) -> list[Path]:
    settings = _configured(scratch, _FOLDERS + _SOURCES)
    sources = [f"deb {address} {suite} main\n" for address, suite in _SUITES]
    (scratch / "etc/sources.list").write_text("".join(sources))
    (scratch / "etc/trusted").mkdir()  # not signed-by in the list, which takes no path with a space
    shutil.copy(keyring, scratch / "etc/trusted")
    _run(["apt-get", "--quiet", "update"], settings)
    _run(["apt-get", "--quiet", "--yes", "--download-only", "install", *PACKAGES], settings)
    return sorted((scratch / "cache/archives").glob("*.deb"))


def _configured(scratch: Path, settings: str) -> str:
    """Make apt's folders. With an empty list of installed packages, it fetches every dependency."""
    for name in ("state/lists/partial", "cache/archives/partial", "etc"):
        (scratch / name).mkdir(parents=True)
    (scratch / "state/status").touch()
    (scratch / "apt.conf").write_text(settings.format(folder=scratch))
    return f"APT_CONFIG={scratch / 'apt.conf'}"


def _unpack(packages: list[Path], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    root, starters = folder / "root", folder / "bin"
    root.mkdir(parents=True)
    starters.mkdir()
    found = {}
    for package in packages:
        _run(["dpkg-deb", "--extract", str(package), str(root)])
        name, version = _run(["dpkg-deb", "--show", str(package)]).split()
        found[name] = version
    (loader,) = (path for path in root.glob("usr/lib*/ld-linux*.so.*"))
    (libraries,) = (path for path in root.glob("usr/lib/*-linux-gnu*") if path.is_dir())
    for path in [*root.glob("usr/bin/*"), *root.glob("usr/sbin/*")]:
        if path.read_bytes()[:4] == b"\x7fELF":
            starter = starters / path.name
            command = [loader, "--inhibit-cache", "--library-path", libraries, path]
            starter.write_text(_STARTER.format(command=shlex.join(map(str, command))))
            starter.chmod(0o755)
    (folder / "versions.json").write_text(json.dumps(found))


def _run(command: list[str], *variables: str) -> str:
    """Run a program and return its output. Raises Unavailable with its last lines if it fails."""
    words = ["env", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", *variables, *command]
    try:
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{' '.join(command[:3])} took more than {_SECONDS} s") from error
    if done.returncode:
        raise Unavailable("\n".join([f"{' '.join(command[:3])} failed:", *done.stderr.splitlines()[-10:]]))
    return done.stdout


if __name__ == "__main__":
    try:
        prepare()
    except Unavailable as problem:
        sys.exit(f"Debian's programs are not there: {problem}")
