"""Text for a terminal. Untrusted text cannot move the cursor, change colours or reverse the direction of writing.

In a pipe or a file an answer is what the model wrote, byte by byte: programs must not get it changed.
"""

import io
import os
import sys
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lambda_router import environment
from lambda_router.errors import BadStorage

#: 128 and SIGPIPE's number, as a shell reports a program that it ended.
READER_LEFT = 141

#: Categories of Unicode that a terminal may obey, or that have no glyph: controls, formats, surrogates, line ends.
_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Formats without which scripts and emoji are written wrong: soft hyphen, the two joiners, word joiner.
_HARMLESS = frozenset("\n\t\u00ad\u200c\u200d\u2060")
_ERASE = "\r\x1b[2K"
_COLUMNS = 80


def readable(text: str) -> str:
    r"""Escape what a terminal would obey as ``\x1b`` and the like; lines, tabs and all scripts stay."""
    return "".join(
        each if each in _HARMLESS or unicodedata.category(each) not in _OBEYED else _escaped(each) for each in text
    )


def one_line(text: object, longest: int | None = None) -> str:
    r"""Escape all of that, and line ends and tabs, too. A longer text is cut and ends in ``…``."""
    shown = "".join(_escaped(each) if each in "\n\t" else each for each in readable(str(text)))
    return shown if longest is None or len(shown) <= longest else f"{shown[: longest - 1]}…"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def is_terminal(stream: Any) -> bool:
    """Return whether a stream is a terminal; one that is closed is none."""
    try:
        return bool(stream is not None and stream.isatty())
    except ValueError:
        return False


def write_text(text: str) -> None:
    """Write to standard output: escaped on a terminal, as it is elsewhere; what the encoding lacks becomes ``?``.

    Raises:
        BadStorage: standard output is closed.
        OSError: it cannot be written; BrokenPipeError if its reader has left.
    """
    stream = sys.stdout
    if stream is None:
        raise BadStorage("standard output is closed")
    shown = readable(text) if is_terminal(stream) else text
    stream.buffer.write(shown.encode(stream.encoding or "utf-8", "replace"))
    stream.flush()


@contextmanager
def writing() -> Iterator[None]:
    """End the command quietly when the reader of standard output has left, as ``head`` does.

    Raises:
        BadStorage: standard output cannot be written, such as to a full disk.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
        sys.exit(READER_LEFT)
    except OSError as error:
        if error.filename is not None:  # of a file, not of standard output
            raise
        drop_output()
        raise unwritable(error) from None


def lossy() -> None:
    """Let standard output write ``?`` for what its encoding lacks, instead of an error in the middle of a table."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def unwritable(error: OSError) -> BadStorage:
    """Return the error for standard output that cannot be written."""
    return BadStorage(f"standard output cannot be written: {error.strerror}")


def drop_output() -> None:
    """Let standard output lead nowhere, so that Python's last flush cannot fail again.

    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (AttributeError, OSError, ValueError):
        return


class StatusLine:
    """One line on standard error that is rewritten; none where that is no terminal. Threads may share it.

    Args:
        is_wanted: False writes nothing at all.
    """

    def __init__(self, *, is_wanted: bool = True) -> None:
        self._is_wanted = is_wanted and is_terminal(sys.stderr) and environment.can_rewrite()
        self._lock = threading.Lock()
        self._is_shown = False

    @property
    def is_wanted(self) -> bool:
        """Whether anybody sees it."""
        return self._is_wanted

    def show(self, text: str) -> None:
        """Replace the line, cut to the terminal's width so that it stays one."""
        with self._lock:
            if self._is_wanted:
                sys.stderr.write(_ERASE + one_line(text, _width() - 1))
                sys.stderr.flush()
                self._is_shown = True

    def clear(self) -> None:
        """Erase the line, before anything else is written; ``show`` writes it again."""
        with self._lock:
            if self._is_shown:
                sys.stderr.write(_ERASE)
                sys.stderr.flush()
                self._is_shown = False


def _width() -> int:
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return _COLUMNS
    return columns if columns >= 20 else _COLUMNS
