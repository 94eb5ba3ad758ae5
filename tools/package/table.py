"""A table of a package's content, by top-level name and size."""

import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_ROW = "{:<24} {:>6} {:>14} {:>14}"


def contents_table(path: Path) -> Iterator[str]:
    """Yield the lines: the largest first, the sum last."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    groups: dict[str, list[zipfile.ZipInfo]] = defaultdict(list)
    for entry in entries:
        groups[_owner(entry.filename)].append(entry)
    yield _ROW.format("", "files", "bytes", "in the zip")
    for name in sorted(groups, key=lambda name: -_size(groups[name])):
        yield _line(name, groups[name])
    yield _line("all", entries)


def _owner(name: str) -> str:
    """Return the top-level module; a file in ``__pycache__`` belongs to its source."""
    parts = [part for part in name.split("/") if part != "__pycache__"]
    return parts[0].split(".")[0] if len(parts) == 1 else parts[0]


def _size(entries: list[zipfile.ZipInfo]) -> int:
    return sum(entry.file_size for entry in entries)


def _line(name: str, entries: list[zipfile.ZipInfo]) -> str:
    packed = sum(entry.compress_size for entry in entries)
    return _ROW.format(name, len(entries), f"{_size(entries):,}", f"{packed:,}")
