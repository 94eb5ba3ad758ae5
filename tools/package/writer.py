"""Zip files that depend only on names and contents.

Chalice's own zip changes with the hash seed (order), the umask (modes) and stray bytecode. Each change would be a new
version of the function.
"""

import base64
import hashlib
import stat
import zipfile
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.stack.refusal import Refusal

#: Lambda's limits (gettingstarted-limits): of a direct upload, and unpacked.
MAX_ZIP_BYTES = 50_000_000
MAX_UNZIPPED_BYTES = 250_000_000

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_REGULAR_READABLE = 0o100644
_REGULAR_EXECUTABLE = 0o100755
_UNIX = 3
_ROW = "{:<24} {:>6} {:>14} {:>14}"


@dataclass(frozen=True)
class Sums:
    """A file's SHA-256, in hexadecimal and in Lambda's notation (base64)."""

    hexadecimal: str
    code_sha256: str

    def text(self, name: str) -> str:
        """Return the text of a file for ``sha256sum --check``, which skips the comment."""
        return f"{self.hexadecimal}  {name}\n# CodeSha256 {self.code_sha256}\n"


def write_zip(folder: Path, target: Path, executable: Collection[str] = ()) -> None:
    """Zip every file below the folder.

    Args:
        folder: what to zip. The modes of its files do not matter.
        target: the zip.
        executable: names of the files that become executable.

    Raises:
        Refusal: the zip is larger than Lambda allows.
    """
    files = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(target, "w") as archive:
        for name, path in files:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = _UNIX
            entry.external_attr = (_REGULAR_EXECUTABLE if name in executable else _REGULAR_READABLE) << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    refuse_size(target.stat().st_size, sum(path.stat().st_size for _, path in files))


def refuse_size(zipped: int, unzipped: int) -> None:
    """Raise Refusal if a size is above Lambda's limit."""
    for what, size, limit in (("the zip", zipped, MAX_ZIP_BYTES), ("the unpacked zip", unzipped, MAX_UNZIPPED_BYTES)):
        if size > limit:
            raise Refusal(
                f"{what} has {size:,} bytes but Lambda's limit is {limit:,}: remove a package from"
                " requirements/function.in, then make lock"
            )


def sums_of(path: Path) -> Sums:
    digest = hashlib.sha256(path.read_bytes())
    return Sums(digest.hexdigest(), base64.b64encode(digest.digest()).decode())


def unpack(path: Path, folder: Path, names: Collection[str] | None = None) -> None:
    """Unpack a zip, or some of its files. Those that its owner may execute can be executed, as in Lambda."""
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder, names)
        for entry in archive.infolist():
            if (
                entry.external_attr >> 16 & stat.S_IXUSR  # its upper half is the mode
                and not entry.is_dir()
                and (names is None or entry.filename in names)
            ):
                (folder / entry.filename).chmod(0o755)


def contents_table(path: Path) -> Iterator[str]:
    """Yield a table of a package's content, by top-level name and size: the largest first, the sum last."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    groups: dict[str, list[zipfile.ZipInfo]] = defaultdict(list)
    for entry in entries:
        # Files in a __pycache__ belong to their sources, and top-level files to their module.
        folder, *below = [part for part in entry.filename.split("/") if part != "__pycache__"]
        groups[folder if below else folder.split(".")[0]].append(entry)
    yield _ROW.format("", "files", "bytes", "in the zip")
    for name in sorted(groups, key=lambda name: -_size(groups[name])):
        yield _line(name, groups[name])
    yield _line("all", entries)


def _size(entries: list[zipfile.ZipInfo]) -> int:
    return sum(entry.file_size for entry in entries)


def _line(name: str, entries: list[zipfile.ZipInfo]) -> str:
    packed = sum(entry.compress_size for entry in entries)
    return _ROW.format(name, len(entries), f"{_size(entries):,}", f"{packed:,}")
