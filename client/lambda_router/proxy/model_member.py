"""The member ``model`` of a JSON body that is still arriving, found without reading what follows it."""

import json
import re

_STRUCTURE = re.compile(rb'["{}\[\]:,]')
_STRING_END = re.compile(rb'["\\]')


class ModelMember:
    """Finds the first ``"model": "…"`` of the outermost object, and where it stands in the bytes.

    Every byte is looked at once, however small the pieces are. What is no JSON has no model; the server says so.
    """

    def __init__(self) -> None:
        self.content = bytearray()
        self.value: str | None = None
        self.span = (0, 0)
        self._at = 0
        self._depth = 0
        self._opened: int | None = None
        self._key: bytes | None = None
        self._is_key = False

    def feed(self, piece: bytes) -> bool:
        """Take the next piece. Return whether the model is known now."""
        self.content += piece
        while self.value is None and (self._in_string() if self._opened is not None else self._between()):
            pass
        return self.value is not None

    def renamed(self, name: str) -> bytes:
        """Return what arrived, with another model."""
        start, end = self.span
        return bytes(self.content[:start]) + json.dumps(name).encode() + bytes(self.content[end:])

    def _between(self) -> bool:
        found = _STRUCTURE.search(self.content, self._at)
        if found is None:
            self._at = len(self.content)
            return False
        self._at = found.end()
        mark = found[0]
        if mark == b'"':
            self._opened = found.start()
        elif mark in b"{[":
            self._depth += 1
            # An array as the outermost value has no members.
            self._is_key = mark == b"{" and self._depth == 1
        elif mark in b"}]":
            self._depth -= 1
        elif self._depth == 1:
            self._is_key = mark == b","
        return True

    def _in_string(self) -> bool:
        found = _STRING_END.search(self.content, self._at)
        if found is None:
            self._at = len(self.content)
            return False
        if found[0] == b"\\":
            if found.end() == len(self.content):  # what is escaped has not arrived
                self._at = found.start()
                return False
            self._at = found.end() + 1
            return True
        self._at = found.end()
        self._take(self._opened or 0, found.end())
        self._opened = None
        return True

    def _take(self, start: int, end: int) -> None:
        if self._depth != 1:
            return
        if self._is_key:
            # No name that needs more bytes, even with every letter escaped, is "model".
            self._key = bytes(self.content[start:end]) if end - start <= 32 else None
        elif self._key is not None and _text(self._key) == "model":
            self.value, self.span = _text(bytes(self.content[start:end])), (start, end)
            self._key = None


def _text(quoted: bytes) -> str | None:
    try:
        found = json.loads(quoted)
    except ValueError:
        return None
    return found if isinstance(found, str) else None
