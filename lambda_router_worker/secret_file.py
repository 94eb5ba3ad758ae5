"""A secret in a file, such as a credential of systemd or a secret of Docker. No message repeats what the file holds."""

import codecs
import errno
import os
import select
import stat
import time

#: Longer than any key or URL, so that a wrong file, such as a device, is not read to its end.
MAX_BYTES = 8_192
#: A pipe, such as the shell's <(command), has its content when the command has run. Nobody may ever write to it.
PIPE_SECONDS = 10.0


class BadSecretFile(ValueError):
    """The file is unreadable, empty or too long. The message names the option, the file and the fix."""


def read_secret(option: str, file: str, wanted: str, pipe_seconds: float = PIPE_SECONDS) -> str:
    """Return the text of a file without white space around it.

    Args:
        option: the option that names the file, for the message.
        wanted: what the file has to hold, for the message.
        pipe_seconds: time limit for a pipe, whose content comes from somebody else.

    Raises:
        BadSecretFile: the file cannot be read or is no text, or holds nothing or more than a secret.
    """
    where = f"{option} {file!r}"
    try:
        content = _content(file, pipe_seconds)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadSecretFile(f"{where} cannot be read: {reason}; wants a file with {wanted}") from None
    if len(content) > MAX_BYTES:
        raise BadSecretFile(f"{where} holds more than {MAX_BYTES} bytes; wants {wanted} alone")
    if content.startswith(codecs.BOM_UTF8):
        raise BadSecretFile(f"{where} begins with a byte order mark; save it as UTF-8 without one")
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise BadSecretFile(f"{where} is not text in UTF-8; wants {wanted}") from None
    if not text:
        raise BadSecretFile(f"{where} is empty; wants {wanted}")
    return text


def _content(file: str, pipe_seconds: float) -> bytes:
    """Return the file's first bytes, at most one more than a secret has. Raises OSError, ValueError."""
    # A pipe that nobody writes to would otherwise be opened for ever. On a regular file the flag has no effect.
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb", buffering=0) as opened:
        is_file = stat.S_ISREG(os.fstat(handle).st_mode)
        until = time.monotonic() + pipe_seconds
        content = b""
        while len(content) <= MAX_BYTES:
            left = max(0.0, until - time.monotonic())
            if not is_file and not select.select([handle], [], [], left)[0]:
                raise TimeoutError(errno.ETIMEDOUT, f"nobody has written to its end within {pipe_seconds:g} s")
            piece = opened.read(MAX_BYTES + 1 - len(content))
            if piece == b"":
                break
            content += piece or b""
        return content
