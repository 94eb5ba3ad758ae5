"""lambda_router_worker.backend.backend_options: base URL and API key, checked before anything is claimed."""

from pathlib import Path

import pytest

from lambda_router_worker.backend.backend_options import BadBackend, api_key, checked_url

URLS = {
    "http://gpu:8080/v1": "http://gpu:8080/v1/",
    "http://gpu:8080/v1//": "http://gpu:8080/v1/",
    "https://gpu": "https://gpu/",
    "http://[::1]:8080/v1": "http://[::1]:8080/v1/",
    "HTTP://GPU/v1": "http://gpu/v1/",
}


@pytest.mark.parametrize(("text", "url"), URLS.items())
def test_a_base_url_ends_in_a_slash(text: str, url: str):
    assert str(checked_url(text)) == url


NO_URLS = [
    "nonsense",
    "",
    "/v1",
    "ftp://host/v1",
    "http://",
    "http:///v1",
    "http://[::1/v1",
    "http://host:port/v1",
    "http://host:99999/v1",
    "http://host:0/v1",
    "http://ho st/v1",
    "http://host/v1?key=1",
    "http://host/v1?",
    "http://host/v1#models",
    "http://ho\nst/v1",
]


@pytest.mark.parametrize("text", NO_URLS)
def test_what_is_no_base_url_is_refused_with_a_right_one(text: str):
    with pytest.raises(BadBackend) as raised:
        checked_url(text)
    assert "--backend" in str(raised.value)
    assert "http://host:port/v1" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["http://user:hunter2@host/v1", "http://hunter2@host:port/v1", "user:hunter2@host"])
def test_a_password_in_the_url_is_refused_without_being_shown(text: str):
    with pytest.raises(BadBackend) as raised:
        checked_url(text)
    assert "hunter2" not in str(raised.value)
    assert "BACKEND_API_KEY" in str(raised.value)
    assert "--api-key-file" in str(raised.value)


def test_a_key_comes_from_the_variable_or_the_file(tmp_path: Path):
    file = tmp_path / "key"
    file.write_text(" sk-1\r\n\n")
    assert api_key(None, None) is None
    assert api_key("", "") is None
    assert api_key(" sk-2 ", None) == "sk-2"
    assert api_key(None, str(file)) == "sk-1"


BAD_KEYS = {
    "empty": b"\n",
    "two lines": b"hunter2\nhunter3",
    "two words": b"hunter2 hunter3",
    "control characters": b"hunter2\x00",
    "not ASCII": "hunter2ü".encode(),
    "a byte order mark": b"\xef\xbb\xbfhunter2",
    "a book": b"hunter2" * 10_000,
}


@pytest.mark.parametrize("content", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, content: bytes):
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(BadBackend) as in_file:
        api_key(None, str(file))
    with pytest.raises(BadBackend) as in_variable:
        api_key(content.decode("latin-1"), None)
    assert "--api-key-file" in str(in_file.value)
    assert "BACKEND_API_KEY" in str(in_variable.value)
    assert "hunter" not in f"{in_file.value} {in_variable.value}"


@pytest.mark.parametrize("file", ["missing", ".", "bad\0name"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, file: str):
    with pytest.raises(BadBackend) as raised:
        api_key(None, str(tmp_path / file))
    assert "--api-key-file" in str(raised.value)


def test_an_endless_file_is_not_read_to_its_end():
    with pytest.raises(BadBackend):
        api_key(None, "/dev/zero")


def test_two_keys_are_refused():
    with pytest.raises(BadBackend) as raised:
        api_key("sk-1", "key")
    assert "BACKEND_API_KEY" in str(raised.value)
    assert "--api-key-file" in str(raised.value)
