"""A keyring for tests: each secret is a file in the folder that KEYRING_FOLDER names, so processes share it."""

import os
from hashlib import sha256
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class FileKeyring(KeyringBackend):
    """Locked while its folder has a file ``locked``."""

    priority = 1  # type: ignore[assignment]

    def get_password(self, service: str, username: str) -> str | None:
        path = _path(service, username)
        return path.read_text() if path.exists() else None

    def set_password(self, service: str, username: str, password: str) -> None:
        _path(service, username).write_text(password)

    def delete_password(self, service: str, username: str) -> None:
        _path(service, username).unlink()


def _path(service: str, username: str) -> Path:
    folder = Path(os.environ["KEYRING_FOLDER"])  # noqa: TID251
    if (folder / "locked").exists():
        raise KeyringLocked("locked")
    return folder / sha256(f"{service}/{username}".encode()).hexdigest()
