"""The lock files: every package is pinned to one version and to the hashes of its files (pip, "Hash-checking mode")."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.repository import ROOT, name_of

#: The function's lock stands at the top, where Chalice reads it.
LOCKS = ["requirements.txt", *sorted(name_of(path) for path in (ROOT / "requirements").glob("*.txt"))]


def unhashed(lock: str) -> Iterator[str]:
    """Requirements that are not pinned by version and hash."""
    joined = lock.replace("\\\n", " ")
    for line in filter(None, (line.partition("#")[0].strip() for line in joined.splitlines())):
        if not re.fullmatch(r"[\w.-]+(\[[\w,.-]+\])?==\S+( ;.*?)?( +--hash=sha256:[0-9a-f]{64})+", line):
            yield line


def test_there_is_a_lock_for_each_list() -> None:
    locked = {Path(name).stem for name in LOCKS[1:]} | {"function"}
    assert locked == {path.stem for path in (ROOT / "requirements").glob("*.in")}


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_by_hash(name: str) -> None:
    assert list(unhashed((ROOT / name).read_text())) == []


HASH = "--hash=sha256:" + "0" * 64


@pytest.mark.parametrize(
    "line",
    [
        "redis==8.1.0",
        f"redis>=8 {HASH}",
        "redis==8.1.0 --hash=md5:00",
        f"redis @ https://example.com/redis.whl {HASH}",
        "-r other.txt",
        "--extra-index" + "-url https://example.com",
        f"redis==8.1.0 \\\n    {HASH}\npydantic==2",
    ],
)
def test_what_is_not_pinned_so_is_found(line: str) -> None:
    assert len(list(unhashed(line))) == 1


@pytest.mark.parametrize(
    "line", [f"a==1 ; python_version < '4' \\\n    {HASH} \\\n    {HASH}\n    # via b", f"a[b]==1 {HASH}"]
)
def test_what_is_pinned_so_is_not(line: str) -> None:
    assert list(unhashed(line)) == []
