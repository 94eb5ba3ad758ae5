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
