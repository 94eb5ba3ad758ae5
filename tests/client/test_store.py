"""Tokens on the disk: for this user alone, encrypted where there is a keyring, and never half written."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import keyring
import pytest

from lambda_router import servers, store
from lambda_router.errors import BadStorage, NotLoggedIn
from lambda_router.servers import ServerList
from lambda_router.store import Credentials
from tests.client.keyring_of_files import FileKeyring

GOT = Credentials("the-access-token", time.time(), time.time() + 60, "the-refresh-token")


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a keyring."""
    folder = tmp_path / "ring"
    folder.mkdir()
    monkeypatch.setenv("KEYRING_FOLDER", str(folder))
    keyring.set_keyring(FileKeyring())
    return folder


def test_without_a_keyring_the_file_is_the_users_alone_and_that_is_said_once() -> None:
    said: list[str] = []
    os.umask(umask := os.umask(0))
    for _ in range(3):
        store.save("a", GOT, said.append)

    assert store.load("a") == GOT
    assert [str(store.path_of("a")) in each for each in said] == [True]
    assert store.path_of("a").stat().st_mode & 0o777 == 0o600
    assert store.path_of("a").parent.stat().st_mode & 0o777 == 0o700
    assert umask >= 0


def test_with_a_keyring_the_file_says_nothing_without_its_key(ring: Path) -> None:
    said: list[str] = []
    store.save("a", GOT, said.append)
    content = store.path_of("a").read_bytes()

    assert store.load("a") == GOT
    assert not said
    assert b"token" not in content
    assert len(list(ring.iterdir())) == 1
    store.save("b", GOT)
    assert len(list(ring.iterdir())) == 1, "one key for all servers"


def test_a_keyring_that_is_locked_asks_to_open_it_and_loses_nothing(ring: Path) -> None:
    store.save("a", GOT)
    (ring / "locked").touch()
    with pytest.raises(NotLoggedIn, match="keyring"):
        store.load("a")
    (ring / "locked").unlink()
    assert store.load("a") == GOT


def test_a_keyring_that_lost_its_key_asks_for_a_login(ring: Path) -> None:
    store.save("a", GOT)
    (key,) = ring.iterdir()
    key.unlink()
    store.save("b", GOT)
    with pytest.raises(NotLoggedIn, match="login a"):
        store.load("a")
    assert store.load("b") == GOT


def test_a_plain_file_stays_plain_when_a_keyring_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save("a", GOT, lambda _: None)
    monkeypatch.setenv("KEYRING_FOLDER", str(tmp_path))
    keyring.set_keyring(FileKeyring())
    store.save("a", GOT)
    assert store.path_of("a").read_bytes().startswith(b"{")


@pytest.mark.parametrize("content", [b"{", b"{}", b"", b"gAAAA-nonsense", b'{"access_token": 1}'])
def test_a_damaged_file_asks_for_a_login(ring: Path, content: bytes) -> None:
    store.save("a", GOT)
    store.path_of("a").write_bytes(content)
    with pytest.raises(NotLoggedIn):
        store.load("a")


def test_credentials_show_no_token() -> None:
    assert "token" not in repr(GOT).replace("access_token", "")


@pytest.mark.parametrize("content", [b"[]", b"{}", b"nonsense", b'{"servers": [{}], "default": null}'])
def test_a_damaged_list_of_servers_is_told_with_its_path(home: Path, content: bytes) -> None:
    home.mkdir()
    (home / "servers.json").write_bytes(content)
    with pytest.raises(BadStorage, match=r"servers\.json"):
        servers.load()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LAMBDA_ROUTER_HOME", str(tmp_path / "file/home"))
    with pytest.raises(BadStorage, match="LAMBDA_ROUTER_HOME"):
        store.load("a")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666], ids=oct)
def test_a_plain_file_that_is_open_to_others_asks_for_a_login_and_can_still_be_revoked(mode: int) -> None:
    store.save("a", GOT, lambda _: None)
    store.path_of("a").chmod(mode)
    with pytest.raises(NotLoggedIn, match="logout --server a"):
        store.load("a")
    assert store.load("a", to_revoke=True) == GOT
    store.save("a", GOT)
    assert store.load("a") == GOT, "it was replaced by a file of the user's alone"


def test_an_encrypted_file_may_be_read_by_others(ring: Path) -> None:
    store.save("a", GOT)
    store.path_of("a").chmod(0o644)
    assert store.load("a") == GOT


def test_a_disk_without_modes_gets_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    make = tempfile.mkstemp

    def open_to_all(*arguments: Any, **options: Any) -> tuple[int, str]:
        handle, name = make(*arguments, **options)
        Path(name).chmod(0o777)
        return handle, name

    monkeypatch.setattr(tempfile, "mkstemp", open_to_all)
    with pytest.raises(BadStorage, match="LAMBDA_ROUTER_HOME"):
        store.save("a", GOT)
    assert {path.suffix for path in store.path_of("a").parent.iterdir()} == {".lock"}


def test_a_list_of_servers_that_others_can_change_is_not_used(home: Path) -> None:
    """It names the endpoint to which refresh tokens go."""
    servers.save(ServerList())
    (home / "servers.json").chmod(0o646)
    with pytest.raises(BadStorage, match=r"servers\.json"):
        servers.load()
    (home / "servers.json").chmod(0o644)
    assert servers.load() == ServerList()


@pytest.mark.parametrize("folder", ["~/kit", "kit", "./kit"])
def test_a_folder_that_depends_on_where_one_is_gets_no_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAMBDA_ROUTER_HOME", folder)
    with pytest.raises(BadStorage, match="LAMBDA_ROUTER_HOME"):
        store.save("a", GOT)
    with pytest.raises(BadStorage, match="LAMBDA_ROUTER_HOME"):
        servers.save(ServerList())
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no list of users in a file")
def test_a_user_without_a_home_is_told_what_to_set(tmp_path: Path) -> None:
    """As in a container that runs with a user id that it does not know."""
    program = (
        "import pwd\ndef nobody(uid): raise KeyError(uid)\npwd.getpwuid = nobody\n"
        "from lambda_router.cli import main; main(['login', 'http://127.0.0.1:1'])"
    )
    gone = {"LAMBDA_ROUTER_HOME", "HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"}
    environ = {name: value for name, value in os.environ.items() if name not in gone}  # noqa: TID251  for a child
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1)
    assert "LAMBDA_ROUTER_HOME" in ran.stderr
    assert not list(tmp_path.iterdir())


def test_a_program_without_standard_error_stores_tokens_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under pythonw, or behind ``2>&-``."""
    monkeypatch.setattr(sys, "stderr", None)
    store.save("a", GOT)
    assert store.load("a") == GOT


def test_a_list_of_another_version_is_not_misread(home: Path) -> None:
    servers.save(ServerList())
    path = home / "servers.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(BadStorage, match=r"servers\.json"):
        servers.load()
