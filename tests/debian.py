"""Programs of Debian 13, unpacked below ``.local/debian`` without root. Nothing is installed.

``python -m tests.debian engines`` fetches that group of them, and ``make test-engines`` does so first. Tests only look
for them.

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
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@dataclass(frozen=True)
class Group:
    """Packages that are fetched together, into a folder of their own.

    Attributes:
        packages: each is unpacked with all that it depends on.
        programs: what tests start.
        home: folder of a program that starts itself again by ``/proc/self/exe`` and looks there for its files. It would
            find the dynamic loader. So its own file names the loader instead, for which ``packages`` has patchelf.
    """

    packages: tuple[str, ...]
    programs: tuple[str, ...]
    home: str = ""


GROUPS = {
    "engines": Group(("redis-server", "valkey-server"), ("redis-server", "valkey-server")),
    "prometheus": Group(("prometheus",), ("prometheus", "promtool")),
    "chromium": Group(
        ("chromium-headless-shell", "fonts-liberation", "patchelf"), ("chromium-headless-shell",), "usr/lib/chromium"
    ),
}

#: Every Debian has it. Ubuntu signs a package with it.
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

_FOLDER = Path(__file__).parents[1] / ".local" / "debian"
_SUITES = (
    ("http://deb.debian.org/debian", "trixie"),
    ("http://deb.debian.org/debian-security", "trixie-security"),
)
_SECONDS = 600
#: Written last. It names the folder, too: what is started names it, so a moved checkout needs its programs anew.
_STAMP = "unpacked.json"

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
{exports}exec {command} "$@"
"""

#: No font of this machine: pages look the same everywhere.
_FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
  <alias><family>sans-serif</family><prefer><family>Liberation Sans</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>Liberation Mono</family></prefer></alias>
  <match><edit name="family" mode="append_last" binding="weak"><string>Liberation Sans</string></edit></match>
</fontconfig>
"""


class Unavailable(Exception):
    """Debian's programs are not there; the message says why."""


def program(name: str, folder: Path = _FOLDER) -> Path:
    """The command that starts this program, such as ``valkey-server``. Raises Unavailable."""
    group = next((group for group, about in GROUPS.items() if name in about.programs), None)
    if group is None:
        raise Unavailable(f"none of the groups of Debian's packages, {', '.join(GROUPS)}, has a program {name}")
    if not _is_current(group, folder):
        raise Unavailable(f"Debian's packages are not unpacked; run: .venv/bin/python -m tests.debian {group}")
    return folder / group / "bin" / name


def program_or_skip(name: str) -> Path:
    """The same for a test, which is skipped without it."""
    try:
        return program(name)
    except Unavailable as error:
        pytest.skip(str(error))


def versions(group: str, folder: Path = _FOLDER) -> dict[str, str]:
    """The version of each unpacked package, as Debian numbers it; none where they are not unpacked, or were moved."""
    try:
        found = json.loads((folder / group / _STAMP).read_text())
    except FileNotFoundError:
        return {}
    return dict(found["versions"]) if found["folder"] == str(folder / group) else {}


def prepare(group: str, folder: Path = _FOLDER, keyring: Path = KEYRING) -> None:
    """Fetch and unpack the packages, unless they are there. Other processes may do the same. Raises Unavailable."""
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / f"{group}.lock"):
        if _is_current(group, folder):
            return
        if missing:
            raise Unavailable(f"{' and '.join(missing)} not found: Debian's packages need a Debian or an Ubuntu")
        with TemporaryDirectory(dir=folder) as scratch:
            known = keyring if keyring.is_file() else _signed_keyring(Path(scratch) / "own")
            fetched = _fetched(Path(scratch) / "debian", known, GROUPS[group].packages)
            _unpack(fetched, folder / group, GROUPS[group].home)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # freed when the file is closed, even by a process that dies
        yield


def _is_current(group: str, folder: Path) -> bool:
    """Check that all packages that are listed by now are there."""
    return set(GROUPS[group].packages) <= set(versions(group, folder))


def _signed_keyring(scratch: Path) -> Path:
    """Fetch Debian's keyring from the distribution that this machine runs, which has signed it."""
    settings = _configured(scratch, _FOLDERS)
    _run(["apt-get", "--quiet", "update"], settings)
    _run(["apt-get", "--quiet", "--yes", "--download-only", "install", "debian-archive-keyring"], settings)
    for package in (scratch / "cache/archives").glob("debian-archive-keyring_*.deb"):
        _run(["dpkg-deb", "--extract", str(package), str(scratch)])
    return scratch / KEYRING.relative_to("/")


def _fetched(scratch: Path, keyring: Path, packages: tuple[str, ...]) -> list[Path]:
    settings = _configured(scratch, _FOLDERS + _SOURCES)
    sources = [f"deb {address} {suite} main\n" for address, suite in _SUITES]
    (scratch / "etc/sources.list").write_text("".join(sources))
    (scratch / "etc/trusted").mkdir()  # not signed-by in the list, which takes no path with a space
    shutil.copy(keyring, scratch / "etc/trusted")
    _run(["apt-get", "--quiet", "update"], settings)
    _run(["apt-get", "--quiet", "--yes", "--download-only", "install", *packages], settings)
    return sorted((scratch / "cache/archives").glob("*.deb"))


def _configured(scratch: Path, settings: str) -> str:
    """Make apt's folders. With an empty list of installed packages, it fetches every dependency."""
    for name in ("state/lists/partial", "cache/archives/partial", "etc"):
        (scratch / name).mkdir(parents=True)
    (scratch / "state/status").touch()
    (scratch / "apt.conf").write_text(settings.format(folder=scratch))
    return f"APT_CONFIG={scratch / 'apt.conf'}"


def _unpack(packages: list[Path], folder: Path, home: str) -> None:
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
    for path in _programs(root, "usr/bin", "usr/sbin"):
        _write_starter(starters / path.name, [loader, "--inhibit-cache", "--library-path", libraries, path])
    if home:
        _start_at_home(folder, home, loader, libraries)
    (folder / _STAMP).write_text(json.dumps({"folder": str(folder), "versions": found}))


def _start_at_home(folder: Path, home: str, loader: Path, libraries: Path) -> None:
    """Let programs run by their own files. The variables are for them and their children alone."""
    fonts = folder / "fonts.conf"
    fonts.write_text(_FONTS.format(fonts=folder / "root/usr/share/fonts", cache=folder / "fonts"))
    # libpulse's RUNPATH names Debian's own folder for a library of its own, and a program's RPATH does not count there
    exports = {"LD_LIBRARY_PATH": f"{libraries}:{libraries / 'pulseaudio'}", "FONTCONFIG_FILE": str(fonts)}
    for path in _programs(folder / "root", home):
        if ".so" not in path.name:  # a library has no interpreter
            _run([str(folder / "bin/patchelf"), "--set-interpreter", str(loader), str(path)])
            _write_starter(folder / "bin" / path.name, [path], exports)


def _programs(root: Path, *places: str) -> Iterator[Path]:
    files = (path for place in places for path in sorted(root.glob(f"{place}/*")) if path.is_file())
    for path in files:
        with path.open("rb") as file:
            if file.read(4) == b"\x7fELF":
                yield path


def _write_starter(starter: Path, command: list[str | Path], exports: dict[str, str] | None = None) -> None:
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in (exports or {}).items()]
    starter.write_text(_STARTER.format(exports="".join(lines), command=shlex.join(map(str, command))))
    starter.chmod(0o755)


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


def main(groups: list[str]) -> None:
    """Fetch the named groups."""
    unknown = sorted(set(groups) - set(GROUPS))
    if unknown or not groups:
        sys.exit(f"unknown group {', '.join(unknown) or '(none)'}: name one or more of {', '.join(GROUPS)}")
    for group in groups:
        try:
            prepare(group)
        except Unavailable as problem:
            sys.exit(f"Debian's programs are not there: {problem}")


if __name__ == "__main__":
    main(sys.argv[1:])
