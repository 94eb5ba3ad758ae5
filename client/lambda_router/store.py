"""Tokens on this machine: one file per server, encrypted with a key that the system's keyring holds.

The file is replaced as a whole, so a process that is killed leaves the old tokens or the new ones. The keyring holds
only the key: Windows' takes no more than 1,280 characters, fewer than the tokens of one login have
(https://github.com/jaraco/keyring/issues/540). Where there is no keyring, the file is plain with mode 0600, and that
is said once.
"""

import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lambda_router import environment, private_files
from lambda_router.errors import BadStorage, NotLoggedIn

_SERVICE = "lambda-router"
#: The first bytes of everything that Fernet encrypts; plain files begin with a brace.
_PLAIN = b"{"


@dataclass(frozen=True)
class Credentials:
    """The tokens of one login. Times are Unix seconds of this machine's clock.

    Attributes:
        refresh_token: empty for a machine, which asks anew with its secret.
        received_at: when the access token was asked for.
        expires_at: when it ends.
        server: the address of the server that they are for; empty in files of older versions.
    """

    access_token: str = field(repr=False)
    received_at: float
    expires_at: float
    refresh_token: str = field(default="", repr=False)
    server: str = ""


def path_of(name: str) -> Path:
    """Return the file of a server's tokens. Raises BadStorage."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise BadStorage(f"{name!r} is not a server's name")
    return environment.data_folder() / f"{name}.tokens"


def lock_path_of(name: str) -> Path:
    """Return the lock of a server's tokens, which no other lock is, whatever the server's name. Raises BadStorage."""
    path = path_of(name)
    return path.with_name(f"{path.name}.lock")


def load(name: str, *, to_revoke: bool = False) -> Credentials | None:
    """Return a server's tokens, None if there are none.

    Args:
        to_revoke: the tokens will be revoked, so that it does not matter who else may know them.

    Raises:
        NotLoggedIn: the file is there, but nothing here can decrypt it, or others can read it.
        BadStorage: the file cannot be read.
    """
    content = private_files.read(path_of(name))
    if content is None:
        return None
    if not to_revoke and content.startswith(_PLAIN) and private_files.others_may(path_of(name), 0o077):
        raise NotLoggedIn(
            f"others can read the tokens in {path_of(name)}: run lambda-router logout --server {name},"
            f" then lambda-router login {name}"
        )
    text = content if content.startswith(_PLAIN) else _decrypted(content, name)
    try:
        return _credentials(json.loads(text))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise NotLoggedIn(f"{path_of(name)} is damaged: run lambda-router login {name}") from None


def _credentials(found: dict[str, Any]) -> Credentials:
    """Return what a file says. Raises TypeError or ValueError if that is no login's."""
    times = [found.get("received_at"), found.get("expires_at")]
    texts = [value for name, value in found.items() if name not in {"received_at", "expires_at"}]
    if not all(isinstance(each, int | float) and math.isfinite(each) for each in times):
        raise TypeError("a time is no number")
    if not all(isinstance(each, str) and each.isprintable() for each in texts):
        raise TypeError("a token is no text, or no header can hold it")
    return Credentials(**found)


def save(name: str, credentials: Credentials, say: Callable[[str], None] | None = None) -> None:
    """Replace a server's tokens.

    A plain file stays plain until the next login, so that a keyring that comes and goes never parts file and key.

    Args:
        say: called with the notice that the file is plain; None writes it to standard error.

    Raises:
        BadStorage: the disk refuses. The old tokens are still there.
    """
    text, path = json.dumps(asdict(credentials)).encode(), path_of(name)
    old = private_files.read(path)
    if old is not None and old.startswith(_PLAIN):
        private_files.write(path, text)
        return
    encrypt = _encryption()
    private_files.write(path, encrypt(text) if encrypt else text)
    if encrypt is None:
        (say or _to_stderr)(f"no keyring here: the tokens are in {path}, which only you can read")


def remove(name: str) -> None:
    """Forget a server's tokens. Raises BadStorage."""
    private_files.remove(path_of(name))


def remove_all(name: str) -> None:
    """Forget a server's tokens and those of machines, whose names go on behind a dot. Raises BadStorage."""
    remove(name)
    for path in environment.data_folder().glob(f"{name}.*.tokens"):
        private_files.remove(path)


def _to_stderr(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"lambda-router: {text}\n")


def _decrypted(content: bytes, name: str) -> bytes:
    from cryptography.fernet import Fernet, InvalidToken

    key = _key()
    if key is None:
        raise NotLoggedIn(
            f"the keyring with the key to the tokens of {name} is locked or gone:"
            f" unlock it, or run lambda-router login {name}"
        )
    try:
        return Fernet(key).decrypt(content)
    except (InvalidToken, ValueError):
        raise NotLoggedIn(f"the keyring has another key now: run lambda-router login {name}") from None


def _encryption() -> Callable[[bytes], bytes] | None:
    """Return what encrypts, with a new key if the keyring has none; None without a keyring."""
    from cryptography.fernet import Fernet

    key = _key()
    if key is None:
        with private_files.locked(environment.data_folder() / "key.lock", 60):
            key = _key() or _new_key()
    try:
        return Fernet(key).encrypt if key else None
    except ValueError:
        raise BadStorage(f"the keyring's entry {_SERVICE!r} is no key: remove it and log in again") from None


def _new_key() -> str | None:
    import keyring
    from cryptography.fernet import Fernet

    key = Fernet.generate_key().decode()
    try:
        keyring.set_password(_SERVICE, _account(), key)
    except Exception:  # each backend raises errors of its own, and none of them may end a login
        return None
    return _key()


def _key() -> str | None:
    import keyring

    try:
        return keyring.get_password(_SERVICE, _account())
    except Exception:  # as above
        return None


def _account() -> str:
    """Return the key's name: one for each folder of tokens."""
    return str(environment.data_folder())
