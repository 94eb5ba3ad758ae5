"""Files for this user alone, replaced as a whole: a reader sees the old content or the new one, never a part."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lambda_router.errors import BadStorage

_TEMPORARY = ".part"


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold a lock between processes.

    Raises:
        BadStorage: the folder refuses, or another process holds it all the time.
    """
    import filelock

    _make_folder(path.parent)
    lock = filelock.FileLock(path, timeout=seconds, mode=0o600)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BadStorage(f"another process has held {path} for {seconds:.0f} s: end it") from None
    except (OSError, NotImplementedError) as error:  # NotImplementedError: a disk that has no locks
        reason = getattr(error, "strerror", None) or "no locks there"
        raise BadStorage(f"{path} cannot be locked: {reason}; correct its owner, or set LAMBDA_ROUTER_HOME") from None
    try:
        yield
    finally:
        lock.release()


def write(path: Path, content: bytes) -> None:
    """Replace a file; its mode is 0600, and its content is on the disk when this returns.

    Raises:
        BadStorage: the folder or the disk refuses, or the disk has no modes. The old file is still there.
    """
    _make_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_TEMPORARY, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                _require_modes(Path(name))
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BadStorage(f"{path} cannot be written: {error.strerror}; make room, or correct its owner") from None


def read(path: Path) -> bytes | None:
    """Return the content, None if there is no such file. Raises BadStorage."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadStorage(
            f"{path} cannot be read: {error.strerror}; correct its owner or mode, or set LAMBDA_ROUTER_HOME"
        ) from None


def others_may(path: Path, rights: int) -> bool:
    """Return whether others have one of these rights to a file, such as 0o002, or own it. Windows has no such modes.

    Others but root, that is; and root itself may use the file of a user, as behind ``sudo -E``.
    """
    if os.name != "posix":
        return False
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    is_anothers = os.geteuid() != 0 and found.st_uid not in {os.geteuid(), 0}
    return is_anothers or bool(found.st_mode & rights)


def _require_modes(new: Path) -> None:
    """Refuse a disk on which every file is open to all, such as a FAT stick, or Windows' disks in WSL."""
    if others_may(new, 0o077):
        raise BadStorage(f"the disk of {new.parent} keeps no file for you alone: set LAMBDA_ROUTER_HOME to another")


def _make_folder(folder: Path) -> None:
    """Make a folder for this user alone if it is missing. Raises BadStorage."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise BadStorage(
            f"the folder {folder} cannot be made: {error.strerror}; set LAMBDA_ROUTER_HOME to one that can"
        ) from None


def remove(path: Path) -> None:
    """Remove a file if it exists. Raises BadStorage."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise BadStorage(f"{path} cannot be removed: {error.strerror}; remove it yourself") from None
