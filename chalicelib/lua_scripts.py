"""The queue's Lua scripts: each is its own file behind the parts that it shares with others."""

import hashlib
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent / "lua"


class LuaScript(NamedTuple):
    """A script's text, and the SHA-1 that ``EVALSHA`` names it by."""

    text: str
    sha: str


def load_script(name: str, *before: str, folder: Path = _FOLDER) -> LuaScript:
    """Read ``record.lua``, then ``<before>.lua`` of the folder, then ``<name>.lua``, as one script.

    The script's own first line comes first: ``#!lua`` has the server refuse the whole script when its memory is full,
    before anything is written; ``allow-oom`` lets those run that end a job, which gives memory back. Without that line
    only the single command is refused.
    """
    own = (folder / f"{name}.lua").read_text()
    flags, own = own.split("\n", 1) if own.startswith("#!") else ("", own)
    shared = [_FOLDER / "record.lua", *(folder / f"{part}.lua" for part in before)]
    parts = [*([flags] if flags else []), *(file.read_text() for file in shared), own]
    text = "\n".join(parts)
    return LuaScript(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
