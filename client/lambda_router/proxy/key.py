"""The proxy's own key, which tools send instead of a token: made once, in a file for this user alone."""

import re
import secrets
from contextlib import AbstractContextManager
from pathlib import Path

from lambda_router import environment, private_files
from lambda_router.errors import BadStorage

#: Tools check that a key begins like one of OpenAI's.
_PREFIX = "sk-lr-"
_FORM = re.compile(r"sk-lr-[A-Za-z0-9_-]{43}")


def load() -> tuple[str, bool]:
    """Return the key, and whether it was made now.

    Raises:
        BadStorage: the file cannot be used, or others can read it.
    """
    with _lock():
        content = private_files.read(_path())
        if content is None:
            return _written(), True
    text = content.decode("latin-1").strip()
    if not _FORM.fullmatch(text):
        raise BadStorage(f"{_path()} holds no key of the proxy: run lambda-router proxy --new-key")
    if private_files.others_may(_path(), 0o077):
        raise BadStorage(f"others can read {_path()}: run lambda-router proxy --new-key, and give tools the new one")
    return text, False


def renew() -> str:
    """Replace the key: from its next start on, the proxy refuses the old one. Raises BadStorage."""
    with _lock():
        return _written()


def _written() -> str:
    key = _PREFIX + secrets.token_urlsafe(32)
    private_files.write(_path(), key.encode() + b"\n")
    return key


def _path() -> Path:
    return environment.data_folder() / "proxy.key"


def _lock() -> AbstractContextManager[None]:
    return private_files.locked(environment.data_folder() / "proxy.lock", 30)
