"""The queue's Lua scripts: each is its own file with ``record.lua`` in front."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent / "lua"


@dataclass(frozen=True)
class LuaScript:
    """A script's text, and the SHA-1 that ``EVALSHA`` names it by."""

    text: str
    sha: str


def load_script(name: str, folder: Path = _FOLDER) -> LuaScript:
    """Read ``<folder>/<name>.lua`` behind ``record.lua``."""
    text = (_FOLDER / "record.lua").read_text() + "\n" + (folder / f"{name}.lua").read_text()
    return LuaScript(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
