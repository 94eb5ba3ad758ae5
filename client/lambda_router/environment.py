"""The environment's variables, which nothing else reads, and the kit's two folders."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from lambda_router.errors import BadStorage, LoginRefused

HOME = "LAMBDA_ROUTER_HOME"
SERVER = "LAMBDA_ROUTER_SERVER"
CLIENT_ID = "LAMBDA_ROUTER_CLIENT_ID"
CLIENT_SECRET = "LAMBDA_ROUTER_CLIENT_SECRET"  # noqa: S105  the name of a variable
CLIENT_SECRET_FILE = "LAMBDA_ROUTER_CLIENT_SECRET_FILE"  # noqa: S105
MODEL = "LAMBDA_ROUTER_MODEL"

_APP = "lambda-router"
#: Longer than any secret, so that a wrong file, such as a device, is not read to its end.
_MAX_SECRET_BYTES = 8_192


@dataclass(frozen=True)
class MachineClient:
    """An app client with a secret, for programs that run without a person."""

    client_id: str
    _secret: str = field(repr=False)
    _file: str = ""

    def secret(self) -> str:
        """Return the secret; its file is read now, since it may have been replaced. Raises LoginRefused."""
        return self._secret or _secret_of(self._file)


def chosen_server() -> str | None:
    """Return the server that LAMBDA_ROUTER_SERVER names, by name or address."""
    return os.environ.get(SERVER) or None


def machine_client() -> MachineClient | None:
    """Return the machine's client if the variables name one; a file with its secret is not read yet.

    Raises:
        LoginRefused: the client has no secret, or two.
    """
    client_id = os.environ.get(CLIENT_ID)
    if not client_id:
        return None
    secret, file = os.environ.get(CLIENT_SECRET, ""), os.environ.get(CLIENT_SECRET_FILE, "")
    if bool(secret) == bool(file):
        raise LoginRefused(f"{CLIENT_ID} is set: set either {CLIENT_SECRET} or {CLIENT_SECRET_FILE} beside it")
    return MachineClient(client_id, secret, file)


def _secret_of(file: str) -> str:
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(_MAX_SECRET_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LoginRefused(f"{CLIENT_SECRET_FILE} {file!r} cannot be read: {reason}") from None
    text = content.decode("latin-1").strip()
    if not text or len(content) > _MAX_SECRET_BYTES:
        raise LoginRefused(f"{CLIENT_SECRET_FILE} {file!r} must hold the client's secret and nothing else")
    return text


def config_folder() -> Path:
    """Return the folder of the list of servers; it may not exist yet. Raises BadStorage."""
    return _folder("user_config_dir")


def data_folder() -> Path:
    """Return the folder of tokens, keys and locks; it may not exist yet. Raises BadStorage."""
    return _folder("user_data_dir")


def _folder(kind: str) -> Path:
    """Return the folder of LAMBDA_ROUTER_HOME, else platformdirs' of that kind. Raises BadStorage.

    A relative one, or one below a ``~`` that no shell expanded, would be another in each working directory.
    """
    if home := os.environ.get(HOME):
        if not Path(home).is_absolute():
            raise BadStorage(f"{HOME} is {home!r}: set it to an absolute path, without ~")
        return Path(home)
    import platformdirs

    try:
        folder = Path(getattr(platformdirs, kind)(_APP, appauthor=False))
    except RuntimeError:  # since 4.10; before, a folder that begins with ~
        folder = Path("~")
    if not folder.is_absolute():
        raise BadStorage(f"this user has no home folder: set {HOME} to an absolute path")
    return folder


def can_rewrite() -> bool:
    """Return whether a terminal here understands that a line is erased."""
    return os.environ.get("TERM", "dumb" if os.name == "posix" else "") != "dumb"


def wants_colour() -> bool:
    """Return whether colours are wanted on a terminal (https://no-color.org)."""
    return can_rewrite() and not os.environ.get("NO_COLOR")
