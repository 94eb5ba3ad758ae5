"""The queue's Lua scripts: each is its own file, preceded by the shared parts that it uses."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent / "lua"
#: Prepended to every script in this order, as far as it uses them.
SHARED = (_FOLDER / "record.lua", _FOLDER / "life.lua")
_DEFINED = re.compile(r"^local (?:function )?(\w+)", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_COMMENT = re.compile(r"--.*")


class LuaScript(NamedTuple):
    """A script's text, and the SHA-1 by which ``EVALSHA`` calls it."""

    text: str
    sha: str


def load_script(name: str, *before: str, folder: Path = _FOLDER) -> LuaScript:
    """Load ``<name>.lua``, preceded by what it uses of the shared files and of ``<before>.lua`` in the folder."""
    shared = [*SHARED, *(folder / f"{part}.lua" for part in before)]
    return assembled((folder / f"{name}.lua").read_text(), *(file.read_text() for file in shared))


def assembled(own: str, *shared: str) -> LuaScript:
    """Return a script preceded by the blocks of the shared parts that it uses; blank lines separate blocks.

    The server creates every function of a script again at each call: unused ones would cost a tenth of a short script's
    time.

    The script's own first line comes first. ``#!lua`` makes the server reject the whole script when its memory is full,
    before anything is written. ``allow-oom`` lets scripts run that end a job, which frees memory. Without that line
    only the single command is rejected.
    """
    flags, own = own.split("\n", 1) if own.startswith("#!") else ("", own)
    parts, used = [own], _words(own)
    for block in reversed("\n\n".join(shared).split("\n\n")):
        if not used.isdisjoint(_DEFINED.findall(block)):
            parts.append(block)
            used |= _words(block)
    text = "\n\n".join(reversed(parts))
    if flags:
        text = f"{flags}\n{text}"
    return LuaScript(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _words(lua: str) -> set[str]:
    return set(_WORD.findall(_COMMENT.sub("", lua)))
