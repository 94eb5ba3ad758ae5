"""``python -m benchmarks.bench_package``: the size and contents of the zip, and the time that its build takes."""

import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Row, show
from benchmarks.quick import asked_quick
from tests.deploy.kit.artefact import built
from tools.package.writer import contents_table


def main() -> None:
    run(quick=asked_quick("bench_package", __doc__, "the same, and nothing is kept"))


def run(*, quick: bool) -> None:
    """Measure and print; keep the results unless ``quick``."""
    began = time.monotonic()
    package = built()
    took = time.monotonic() - began
    ours, plain = (path.stat().st_size for path in (package.zip, package.original))
    rows = [
        Row("zip: this project, bytes", f"{ours:,}"),
        Row("zip: plain chalice package of the same commit, bytes", f"{plain:,}"),
        Row("zip, of the plain one's", f"{ours / plain:.3f}", "< 1", ours < plain),
        Row("unpacked: this project, bytes", f"{_unpacked(package.zip):,}"),
        Row("unpacked: plain, bytes", f"{_unpacked(package.original):,}"),
        Row("time of make package, seconds", f"{took:.1f}"),
        *_parts(package.zip),
    ]
    show("Package", rows, {"zip, kB: this project": ours / 1000, "zip, kB: plain": plain / 1000}, keep=not quick)


def _unpacked(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _parts(path: Path) -> Iterator[Row]:
    for line in list(contents_table(path))[1:-1]:
        name, files, size, packed = line.split()
        yield Row(f"{name}: files / bytes / in the zip", f"{files} / {size} / {packed}")


if __name__ == "__main__":
    main()
