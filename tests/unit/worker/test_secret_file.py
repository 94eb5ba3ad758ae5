"""Secrets from files: whatever the path leads to, there is a secret or an error, and never a wait without an end."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from lambda_router_worker.cli_options import checked_url
from lambda_router_worker.secret_file import MAX_BYTES, BadSecretFile, read_secret

URL = "rediss://user:hunter2@h:6379/0"


def secret(file: Path, pipe_seconds: float = 0.2) -> str:
    return read_secret("--redis-url-file", str(file), "a Redis URL", pipe_seconds)


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


@pytest.mark.parametrize("content", [URL, f"{URL}\n", f" {URL}\r\n\n"])
def test_a_secret_is_read_without_the_white_space_around_it(tmp_path: Path, content: str):
    (tmp_path / "url").write_text(content)
    (tmp_path / "link").symlink_to(tmp_path / "url")
    assert secret(tmp_path / "url") == secret(tmp_path / "link") == URL


def test_a_secret_that_is_not_ascii_is_the_same_in_a_file_as_in_a_variable(tmp_path: Path):
    (tmp_path / "url").write_text(URL.replace("hunter2", "häßlich"), encoding="utf-8")
    assert checked_url(None, str(tmp_path / "url")) == checked_url(URL.replace("hunter2", "häßlich"), None)


@pytest.mark.parametrize("content", [b"\xff\xfe", "ä".encode("latin-1"), b"\xef\xbb\xbf" + URL.encode()])
def test_a_file_in_another_encoding_is_refused_and_not_shown(tmp_path: Path, content: bytes):
    (tmp_path / "url").write_bytes(content)
    with pytest.raises(BadSecretFile, match="UTF-8") as raised:
        secret(tmp_path / "url")
    assert "hunter2" not in str(raised.value)


def test_a_pipe_that_nobody_writes_to_is_given_up(tmp_path: Path):
    with pytest.raises(BadSecretFile, match="--redis-url-file"):
        secret(pipe(tmp_path))


def test_a_pipe_whose_writer_never_ends_is_given_up(tmp_path: Path):
    path = pipe(tmp_path)
    both_ends = os.open(path, os.O_RDWR)
    os.write(both_ends, URL.encode())
    with pytest.raises(BadSecretFile) as raised:
        secret(path)
    os.close(both_ends)
    assert "hunter2" not in str(raised.value)


def test_a_pipe_is_read_to_its_end_however_it_comes(tmp_path: Path):
    path = pipe(tmp_path)

    def write() -> None:
        with path.open("wb", buffering=0) as opened:
            for byte in URL.encode():
                opened.write(bytes([byte]))

    writer = threading.Thread(target=write)
    writer.start()
    assert secret(path, pipe_seconds=20) == URL
    writer.join()


@pytest.mark.parametrize("path", [Path("/dev/zero"), Path("/dev/null"), Path("/proc/self/mem"), Path("/")])
def test_a_path_that_leads_to_no_secret_is_refused(path: Path):
    with pytest.raises(BadSecretFile):
        secret(path)


def test_a_file_that_is_too_long_is_refused(tmp_path: Path):
    (tmp_path / "url").write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(BadSecretFile, match=str(MAX_BYTES)):
        secret(tmp_path / "url")


@pytest.mark.parametrize("middle", ["\n", "\r\n", "\t", "\0", "\x1b"])
@pytest.mark.parametrize("put", [lambda m: f"{URL}{m}1", lambda m: URL.replace("hunter", f"hunter{m}")])
def test_a_url_of_several_lines_is_refused_and_not_joined(tmp_path: Path, put: Callable[[str], str], middle: str):
    (tmp_path / "url").write_bytes(put(middle).encode())
    for given in ((None, str(tmp_path / "url")), (put(middle), None)):
        with pytest.raises(click.UsageError) as raised:
            checked_url(*given)
        assert "hunter" not in raised.value.message
