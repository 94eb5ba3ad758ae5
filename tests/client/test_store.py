"""Tokens on the disk: for this user alone, encrypted where there is a keyring, and never half written."""

import os
import time
from pathlib import Path

import keyring
import pytest

from lambda_router import servers, store
from lambda_router.errors import BadStorage, NotLoggedIn
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
